"""Metrics that see more than recalls: how well scores rank the images, and the correlation of decisions with labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lmle_core.metrics import rounded

Values = tuple[float | None, ...]
_METRICS = ("average_precision", "roc_auc", "mcc")


@dataclass(frozen=True)
class Ranking:
    """Ranking metrics of A attributes, each in the order of the label columns; None where one class occurs.

    Attributes:
        average_precision: area under precision against recall; its chance level is the share of positives.
        roc_auc: probability that a positive outranks a negative; chance is ½.
        mcc: Matthews correlation of the decided classes with the labels; chance is 0.
    """

    average_precision: Values
    roc_auc: Values
    mcc: Values

    @property
    def mean_average_precision(self) -> float | None:
        """Mean over the attributes that have one."""
        return _mean(self.average_precision)

    @property
    def mean_roc_auc(self) -> float | None:
        """Mean over the attributes that have one."""
        return _mean(self.roc_auc)

    @property
    def mean_mcc(self) -> float | None:
        """Mean over the attributes that have one."""
        return _mean(self.mcc)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        columns = {name: [rounded(value) for value in getattr(self, name)] for name in _METRICS}
        # of the rounded values, so that what is read again has the same means
        return {f"mean_{name}": rounded(_mean(values)) for name, values in columns.items()} | columns

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(*(tuple(values[name]) for name in _METRICS))


def rank(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> Ranking:
    """Ranking metrics of each attribute.

    Two classes: images are ranked by the score of class 1 minus that of class 0. More: each class that occurs is ranked
    against the rest by its score minus the best other score, and the metric is the mean over these classes. The decided
    class is that of the largest score.

    Args:
        labels: (n, A) integers in 0..C-1.
        scores: (n, A, C), of any scale; infinite scores are ranked like any others.

    Raises:
        ValueError: for arrays that disagree, labels out of range, or NaN in scores or in their differences.

    Source: average precision, ROC AUC and Matthews correlation are scikit-learn's.

    Corner cases: an attribute of which fewer than two classes occur has None in each metric. An attribute whose images
    are all decided alike has an MCC of 0. Ties in the scores share a rank; ties of the decision go to the lowest class.
    """
    from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score  # slow to import

    if scores.ndim != 3 or labels.shape != scores.shape[:2] or scores.shape[2] < 2:
        raise ValueError(
            f"expected labels (n, A) and scores (n, A, C) with C of at least 2, got {labels.shape} and {scores.shape}"
        )
    classes = scores.shape[2]
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels: expected classes in 0..{classes - 1}, got {labels.min()} to {labels.max()}")
    columns: list[tuple[float | None, float | None, float | None]] = []
    for a, (truth, own) in enumerate(zip(labels.T, scores.transpose(1, 0, 2), strict=True)):
        present = np.unique(truth)
        if len(present) < 2:
            columns.append((None, None, None))
            continue
        positives = [1] if classes == 2 else present.tolist()
        order = [_order(own, c, a) for c in positives]
        precision, area = (
            fmean(float(metric(truth == c, ranks)) for c, ranks in zip(positives, order, strict=True))
            for metric in (average_precision_score, roc_auc_score)
        )
        columns.append((precision, area, float(matthews_corrcoef(truth, own.argmax(1)))))
    precisions, areas, correlations = zip(*columns, strict=True) if columns else ((), (), ())
    return Ranking(precisions, areas, correlations)


def _order(scores: NDArray[np.floating], c: int, attribute: int) -> NDArray[np.integer]:
    """The rank of each image by how far class c's score exceeds the best other, (n,); equal margins share one."""
    exact = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        margin = exact[:, c] - np.delete(exact, c, axis=1).max(axis=1)
    wrong = np.flatnonzero(np.isnan(margin))
    if len(wrong):
        raise ValueError(f"scores[{wrong[0]}, {attribute}]: class {c} cannot be ranked, got {scores[wrong[0]]}")
    return np.unique(margin, return_inverse=True)[1]


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
