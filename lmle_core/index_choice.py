"""The choice of an index on the validation split: clusters for each class, k, and the calibration."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmle_core import config as configuration
from lmle_core.bootstrap import mean_over_attributes, mean_recalls
from lmle_core.calibration import calibrate
from lmle_core.clusters import cluster
from lmle_core.index import CentroidIndex
from lmle_core.kmeans.lloyd import Blocks
from lmle_core.kmeans.source import BLOCK, Rows, ranges
from lmle_core.odds import class_shares, log_odds


def build_index(
    train: Blocks,
    valid: Rows,
    index: configuration.Index,
    lloyd: configuration.Cluster,
    *,
    attributes: Sequence[str],
    n_classes: int,
    seed: int,
    squared: bool = False,
    logits: NDArray[np.float32] | None = None,
) -> CentroidIndex:
    """The index whose clusters for each class and k classify the validation split best, calibrated on it.

    Every class of every attribute gets the same number of clusters, for each number in turn; each is judged with every
    k, by balanced accuracy, meaned over the attributes. The scores of the best one and the classifier's log-odds are
    weighed and biased as `lmle_core.calibration.calibrate` finds, so that their sum is log-odds of balanced classes.

    Args:
        train: an engine with the training rows.
        valid: the validation rows.
        index: candidates, and whether to calibrate; if not, the rule decides alone, in units of distance.
        lloyd: iterations and tolerance of k-means; its sizes play no part.
        attributes: names of the label columns.
        n_classes: C, for all attributes.
        seed: of the run.
        squared: squared distances in the rule.
        logits: of the validation rows, see `CentroidIndex.classify`; None: the rule has nothing beside it.

    Corner cases: equal scores go to fewer clusters, then to k = 0, then to the smaller k. A k of at least all centroids
    of each attribute is k = 0, and not tried again. An attribute of which validation has one class only does not count;
    where there is no other, every score is 0.
    """
    best: CentroidIndex | None = None
    best_score = -np.inf
    table: list[dict[str, float]] = []
    for number in sorted(set(index.clusters_per_class)):
        settings = lloyd.model_copy(update={"per_class": number})
        found = cluster(train, settings, attributes=attributes, n_classes=n_classes, seed=seed, round=0)
        candidate = CentroidIndex.of(found, n_classes, squared=squared)
        most = int(np.diff(candidate.offsets).max())
        tried = sorted({k if k < most else 0 for k in index.neighbours})
        for k, score in zip(tried, _scores(candidate, valid, tried), strict=True):
            table.append({"clusters_per_class": number, "neighbours": k, "balanced_accuracy": score})
            if score > best_score:
                best_score = score
                best = replace(candidate, neighbours=k)
    assert best is not None
    best = replace(best, candidates=tuple(table))
    if not index.calibrate:
        return best
    evidence = [np.concatenate([best.scores(valid.features(lo, hi)) for lo, hi in ranges(len(valid.labels), BLOCK)])]
    shares = None
    if logits is not None:
        shares = class_shares(train.source.labels, n_classes).astype(np.float32)
        evidence.append(log_odds(logits, shares))
    fitted = calibrate(evidence, valid.labels)
    rule_weight, odds_weight = [*fitted.weights.tolist(), 0.0][:2]
    return replace(best, rule_weight=rule_weight, odds_weight=odds_weight, shares=shares, biases=fitted.biases)


def _scores(index: CentroidIndex, valid: Rows, tried: Sequence[int]) -> list[float]:
    """Mean balanced accuracy of each k."""
    right = np.zeros((len(tried), len(index.attributes), index.n_classes))
    total = np.zeros((len(index.attributes), index.n_classes))
    for lo, hi in ranges(len(valid.labels), BLOCK):
        truth = valid.labels[lo:hi]
        labels, _ = index.decisions(valid.features(lo, hi), tried)
        for label in range(index.n_classes):
            total[:, label] += (truth == label).sum(0)
            right[..., label] += ((labels == label) & (truth == label)).sum(1)
    if not total.any():
        raise ValueError("index: no validation rows to choose by")
    return np.nan_to_num(mean_over_attributes(mean_recalls(right.swapaxes(-2, -1), total.T))).tolist()
