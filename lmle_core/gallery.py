"""The figures of a run, drawn from its artefacts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lmle_core.features import Features
from lmle_core.figures import (
    EmbeddingPanel,
    FaceRow,
    TrainingCurves,
    balanced_accuracy_bars,
    embedding_map,
    face_grid,
    gain_against_imbalance,
    recalls,
    save,
    training_curves,
)
from lmle_core.index import CentroidIndex
from lmle_core.metrics import Scores
from lmle_core.predictions import Predictions
from lmle_core.report import BASELINES
from lmle_core.store import TEST, TRAIN, ImageStore

PANELS = 4
NEIGHBOURS = 6
SEARCHED = 20_000
"""Training images of a class among which a centroid's closest is looked for."""


def draw_gallery(
    directory: Path,
    scores: Scores,
    baselines: Mapping[str, Scores],
    curves: Sequence[Sequence[Mapping[str, float]]],
    store: ImageStore,
    features: Path,
    index: CentroidIndex,
    predictions: Predictions,
    ceiling: float | None = None,
) -> dict[str, Path]:
    """Draw every figure as PNG.

    Args:
        directory: gets the files.
        scores: of the test split.
        baselines: likewise, by name; gains are drawn against the calibrated BCE where it is there.
        curves: of each round.
        store: the images.
        features: artefact of the last round.
        index: built on it.
        predictions: of the test split, by it.
        ceiling: of the loss, see `TrainingCurves`.

    Returns:
        Title of each figure to its file, in the order to show.
    """
    against = next(name for name in ("bce_calibrated", "prior") if name in baselines)
    baseline, name = baselines[against], BASELINES[against][0]
    shown = _chosen_attributes(scores)
    drawn = {
        "Balanced accuracy": balanced_accuracy_bars(scores, {name: baseline}),
        "Gain against imbalance": gain_against_imbalance(scores, baseline, name),
        "Recall of each class": recalls(scores, baseline, name),
        "Training": training_curves(_joined(curves, ceiling)),
        "Embedding": embedding_map([_panel(attribute, store, features, index) for attribute in shown]),
        "Nearest clusters": face_grid([_faces(attribute, store, features, index, predictions) for attribute in shown]),
    }
    directory.mkdir(exist_ok=True)
    files = {title: directory / f"{title.lower().replace(' ', '_')}.png" for title in drawn}
    for title, figure in drawn.items():
        save(figure, files[title])
    return files


def joined_steps(curves: Sequence[Sequence[Mapping[str, float]]]) -> list[list[int]]:
    """The step of each point of each round's curves, counted over all rounds."""
    steps, first = [], 0
    for points in curves:
        steps.append([first + int(point["iteration"]) for point in points])
        first += int(points[-1]["iteration"]) + 1
    return steps


def _joined(curves: Sequence[Sequence[Mapping[str, float]]], ceiling: float | None) -> TrainingCurves:
    steps = joined_steps(curves)
    points = [point for round_ in curves for point in round_]
    names = [name for name in points[0] if name.startswith("loss_")]
    return TrainingCurves(
        step=np.array([step for round_ in steps for step in round_]),
        losses={name: np.array([point[name] for point in points]) for name in names},
        active_share=np.array([point["active_share"] for point in points]),
        boundaries=tuple(round_[0] for round_ in steps[1:]),
        ceiling=ceiling,
    )


def _chosen_attributes(scores: Scores) -> list[int]:
    """The rarest, the most even and the best and worst classified attribute, as far as they differ."""
    rows = [a for a, row in enumerate(scores.attributes) if row.balanced_accuracy is not None]
    rarity = {a: min(scores.attributes[a].support) for a in rows}
    accuracy = {a: scores.attributes[a].balanced_accuracy or 0.0 for a in rows}
    wanted = [
        min(rows, key=lambda a: rarity[a]),
        max(rows, key=lambda a: accuracy[a]),
        max(rows, key=lambda a: rarity[a]),
        min(rows, key=lambda a: accuracy[a]),
    ]
    return list(dict.fromkeys(wanted))[:PANELS]


def _panel(attribute: int, store: ImageStore, features: Path, index: CentroidIndex) -> EmbeddingPanel:
    rows = store.rows(TEST)
    low, high = index.offsets[attribute : attribute + 2]
    return EmbeddingPanel(
        attribute=store.attributes[attribute],
        embeddings=Features.open(features).of_attribute(rows, attribute),
        labels=store.labels[rows, attribute],
        centroids=index.centroids[low:high],
        centroid_classes=index.classes[low:high],
    )


def _faces(
    attribute: int, store: ImageStore, features: Path, index: CentroidIndex, predictions: Predictions
) -> FaceRow:
    """A member of the minority in the test split, and the training image closest to each of its nearest centroids."""
    rows = store.rows(TEST)
    labels = store.labels[rows, attribute]
    values, counts = np.unique(labels, return_counts=True)
    query = rows[np.flatnonzero(labels == values[counts.argmin()])[0]]
    artefact = Features.open(features)
    vector = artefact.of_attribute(np.array([query]), attribute)
    distances, nearest = index.search(attribute, vector, NEIGHBOURS)
    train = store.rows(TRAIN)
    classes = index.classes[nearest[0]]
    closest = []
    for centroid, label in zip(index.centroids[nearest[0]], classes, strict=True):
        own = train[store.labels[train, attribute] == label][:SEARCHED]
        known = artefact.of_attribute(own, attribute)
        closest.append(own[((known - centroid) ** 2).sum(1).argmin()])
    row = predictions.filename.tolist().index(store.filenames[query])
    return FaceRow(
        attribute=store.attributes[attribute],
        query=store.gather([query])[0],
        label=int(store.labels[query, attribute]),
        prediction=int(predictions.predictions[row, attribute]),
        margin=float(predictions.margins[row, attribute]),
        neighbours=store.gather(closest),
        classes=classes,
        distances=distances[0],
    )
