"""Evaluation: the health of each round on the validation split, and the test scores beside the baselines'."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from lmle_core.balance import balances
from lmle_core.clusters import Clusters
from lmle_core.comparison.over_images import Pair, paired_over_images
from lmle_core.config import Config
from lmle_core.features import Features
from lmle_core.health import spread
from lmle_core.index import CentroidIndex
from lmle_core.kmeans import StoredRows
from lmle_core.kmeans.seeding import warm_start
from lmle_core.margins import hinge_of_equal_distances
from lmle_core.metrics import rounded, score
from lmle_core.odds import calibrated_odds, class_shares, log_odds
from lmle_core.predictions import Predictions
from lmle_core.prior import class_count
from lmle_core.store import TEST, TRAIN, VALID, ImageStore

BLOCK = 4096
"""Images whose features are held at a time."""

TAIL = 0.1
"""Share of a round's curves, from its end, that its figures are means over."""


@dataclass(frozen=True)
class Rival:
    """A classifier to compare with: features and their index, or logits.

    Attributes:
        features: of every image; for logits (N, A, C).
        index: decides by the large-margin rule; None: the features are logits.
    """

    features: Path
    index: Path | None = None


def assess(
    store: ImageStore,
    features: Path,
    clusters: Clusters,
    previous: Clusters | None,
    curves: list[dict[str, float]] | None,
    number: int,
    config: Config,
) -> dict[str, Any]:
    """The health of the features after a round, as JSON.

    The round's clusters, their centroids moved to the means of the new features, classify the validation split by the
    rule with all centroids.

    Args:
        store: the images.
        features: artefact after the round.
        clusters: that the round was trained on; for round 0, those of the prior features themselves.
        previous: the clusters of the round before, for the NMI.
        curves: of the round's training.
        number: of the round; 0 is the prior.
        config: of the run; the rule's distances are squared where the loss's are.
    """
    rows, classes = store.rows(TRAIN), class_count(store.labels)
    truth = store.labels[rows]
    means = warm_start(StoredRows(str(features), truth, rows), clusters.assignment, clusters.centroid_class)
    index = CentroidIndex.of(replace(clusters, centroids=means.values), classes, squared=config.loss.squared)
    valid = store.rows(VALID)
    labels, _ = _classify(index, features, valid)
    scores = score(store.labels[valid], labels, store.attributes, classes, bootstrap=0)
    spreads = spread(_blocks(features, valid))
    figures = _tail_means(curves or [])
    equal = None
    if number:
        balanced = balances(config, len(store.attributes))
        equal = hinge_of_equal_distances(truth, clusters, classes, config.loss, balanced=balanced)
    return {
        "round": number,
        "loss": {name.removeprefix("loss_"): value for name, value in figures.items() if name.startswith("loss_")}
        or None,
        "equal_distances": equal,
        "active_share": figures.get("active_share"),
        "spread": {"mean": rounded(spreads.mean()), "least": rounded(spreads.min())},
        "spreads": {name: rounded(value) for name, value in _named(store.attributes, spreads).items()},
        "nmi": rounded(clusters.nmi(previous)) if previous is not None else None,
        "clusters": int((clusters.centroid_class >= 0).sum()),
        "empty": clusters.empties,
        "inertia": rounded(clusters.inertia.sum()),
        "validation": {name: value for name, value in scores.to_json().items() if name != "attributes"},
    }


def evaluate(
    store: ImageStore,
    features: Path,
    index: CentroidIndex,
    rivals: Mapping[str, Rival],
    config: Config,
    directory: Path,
    logits: Path | None = None,
) -> None:
    """Classify the validation and the test split and score the test split, with every rival on the same images.

    Args:
        store: the images.
        features: artefact of the last round.
        index: built on it.
        rivals: by name; logits named 'bce' are scored at ½, as 'bce_prior' at the training prior, and as
            'bce_calibrated' with weight and biases fitted on validation, as LMLE's scores are.
        config: bootstrap and seed.
        directory: gets `predictions.parquet` and `scores.json`.
        logits: artefact of the last round, which an index that weighs the classifier's log-odds needs.
    """
    classes = class_count(store.labels)
    rows = np.sort(np.concatenate([store.rows(VALID), store.rows(TEST)]))
    test = store.split[rows] == TEST
    labels, margins = _classify(index, features, rows, logits)
    clean = store.clean_labels[rows] if store.clean_labels is not None else None
    predictions = Predictions(
        filename=np.array([store.filenames[row] for row in rows]),
        split=store.split[rows],
        attributes=store.attributes,
        labels=store.labels[rows],
        clean_labels=clean,
        predictions=labels,
        margins=margins,
    )
    predictions.save(directory / "predictions.parquet")
    others = {"majority": np.broadcast_to(_majority(store, classes), labels[test].shape)}
    for name, rival in rivals.items():
        if rival.index is not None:
            others[name], _ = _classify(CentroidIndex.load(rival.index), rival.features, rows[test])
        else:
            shares = class_shares(store.labels[store.rows(TRAIN)], classes)
            judging, judged = (np.concatenate(list(_blocks(rival.features, rows[part]))) for part in (~test, test))
            scores_of = calibrated_odds(judging, store.labels[rows[~test]], shares)
            others[name] = judged.argmax(-1).astype(np.int8)
            others[f"{name}_prior"] = log_odds(judged, shares).argmax(-1).astype(np.int8)
            others[f"{name}_calibrated"] = scores_of(judged).argmax(-1).astype(np.int8)

    truth = store.labels[rows]
    people = store.identity[rows[test]] if store.identity is not None else None

    def scored(truth: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
        return score(
            truth, answers, store.attributes, classes, bootstrap=config.evaluation.bootstrap, seed=config.seed,
            groups=people,
        ).to_json()  # fmt: skip

    def gained(answers: np.ndarray) -> dict[str, Any]:
        found = paired_over_images(
            [Pair(truth[test], labels[test], answers, people)], classes, shared=True,
            bootstrap=config.evaluation.bootstrap, seed=config.seed,
        ).to_json()  # fmt: skip
        return {"mean": found["mean"], "interval": None if found["low"] is None else [found["low"], found["high"]]}

    scores = {
        "validation": score(truth[~test], labels[~test], store.attributes, classes, bootstrap=0).to_json(),
        "test": scored(truth[test], labels[test]),
        "test_clean": scored(clean[test], labels[test]) if clean is not None else None,
        "baselines": {name: scored(truth[test], answers) for name, answers in others.items()},
        "baselines_clean": (
            {name: scored(clean[test], answers) for name, answers in others.items()} if clean is not None else None
        ),
        "gains": {name: gained(answers) for name, answers in others.items()},
    }
    (directory / "scores.json").write_text(json.dumps(scores, indent=1))


def _classify(
    index: CentroidIndex, features: Path, rows: np.ndarray, logits: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels int8 (n, A) and margins float32 (n, A) of n rows."""
    pairs = zip(_blocks(features, rows), _blocks(logits, rows) if logits else repeat(None), strict=False)
    labels, margins = zip(*(index.classify(*pair) for pair in pairs), strict=True)
    return np.concatenate(labels), np.concatenate(margins)


def _blocks(features: Path, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The features of ascending rows, one block after the other; without rows a single one of none."""
    artefact = Features.open(features)
    for low in range(0, max(1, len(rows)), BLOCK):
        yield artefact.rows(rows[low : low + BLOCK])


def _named(attributes: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    """Values by attribute; features that all attributes share have one value for all."""
    return {name: float(values[a if len(values) > 1 else 0]) for a, name in enumerate(attributes)}


def _majority(store: ImageStore, classes: int) -> np.ndarray:
    return class_shares(store.labels[store.rows(TRAIN)], classes).argmax(1).astype(np.int8)


def _tail_means(curves: list[dict[str, float]]) -> dict[str, float]:
    tail = curves[-max(1, round(TAIL * len(curves))) :] if curves else []
    names = [name for name in (tail[0] if tail else {}) if name.startswith("loss_") or name == "active_share"]
    return {name: round(float(np.mean([point[name] for point in tail])), 6) for name in names}
