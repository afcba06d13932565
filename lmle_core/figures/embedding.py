"""Figures of an embedding: its map in a plane that shows the classes, and the faces nearest to some queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lmle_core.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    SERIES,
    VERMILION,
    legend_below,
    new_figure,
    readable,
    tidy,
    title_over,
)

_POINTS = 4000


@dataclass(frozen=True)
class EmbeddingPanel:
    """One attribute's embedding of n images and its K centroids.

    Attributes:
        attribute: its name.
        embeddings: (n, D) unit vectors.
        labels: (n,) classes.
        centroids: (K, D).
        centroid_classes: (K,).
    """

    attribute: str
    embeddings: np.ndarray
    labels: np.ndarray
    centroids: np.ndarray
    centroid_classes: np.ndarray


@dataclass(frozen=True)
class FaceRow:
    """A query image, how it was classified, and the training image nearest to each of its m nearest centroids.

    Attributes:
        attribute: name of the attribute.
        query: (3, H, W) uint8.
        label: its class as annotated.
        prediction: its class by the rule.
        margin: best score minus second.
        neighbours: (m, 3, H, W) uint8, nearest centroid first.
        classes: (m,) class of each centroid.
        distances: (m,) distance of the query to each centroid.
    """

    attribute: str
    query: np.ndarray
    label: int
    prediction: int
    margin: float
    neighbours: np.ndarray
    classes: np.ndarray
    distances: np.ndarray


def embedding_map(panels: Sequence[EmbeddingPanel]) -> Figure:
    """Images and centroids of each attribute in the plane that shows its classes best, coloured by class.

    Across: the axis along which the class means differ most; up: the axis of most variance at a right angle to it.

    Corner cases: at most 4,000 evenly chosen images are drawn; the smallest class is drawn last, so that it shows.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(4.8 * columns + 0.4, 4.3 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    classes = sorted({int(c) for panel in panels for c in np.unique(panel.labels)})
    colors = {c: (ORANGE, BLUE)[c] if max(classes, default=0) < 2 else SERIES[c % len(SERIES)] for c in classes}
    for axes, panel in zip(grid, panels, strict=False):
        points, centroids = _plane(panel.embeddings, panel.labels, panel.centroids)
        chosen = np.unique(np.linspace(0, len(points) - 1, min(_POINTS, len(points))).astype(int))
        points, labels = points[chosen], panel.labels[chosen]
        for c in sorted(np.unique(labels), key=lambda c: -int((labels == c).sum())):
            axes.scatter(*points[labels == c].T, s=7, alpha=0.45, color=colors[int(c)], linewidth=0)
        for c in classes:
            mine = centroids[panel.centroid_classes == c]
            axes.scatter(*mine.T, s=95, marker="X", color=colors[c], edgecolor="white", linewidth=1.3, zorder=4)
        title = f"{readable(panel.attribute)}, {100 * (panel.labels == classes[-1]).mean():.1f} % " + (
            "positive" if len(classes) <= 2 else f"class {classes[-1]}"
        )
        tidy(axes, title, "between the class means", "most variance across", grid="both")
        axes.set_aspect("equal", adjustable="datalim")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    handles = [grid[0].scatter([], [], s=40, color=colors[c], linewidth=0) for c in classes]
    handles.append(grid[0].scatter([], [], s=95, marker="X", color=INK, edgecolor="white"))
    names = {0: "negative images", 1: "positive images"} if len(classes) <= 2 else {}
    legend_below(figure, handles, [*(names.get(c, f"class {c}") for c in classes), "cluster centroids"])
    return figure


def face_grid(rows: Sequence[FaceRow]) -> Figure:
    """One row a query: the query at the left, then the training face at each nearest centroid, framed by class."""
    most = max(len(row.neighbours) for row in rows)
    _, height, width = rows[0].query.shape
    cell = 1.15
    figure = new_figure(cell * (most + 1) + 1.9, (cell * height / width + 0.28) * len(rows) + 0.5)
    grid = figure.subplots(len(rows), most + 1, squeeze=False)
    title_over(figure, "Queries and the training faces at their nearest centroids")
    for line, row in zip(grid, rows, strict=True):
        right = row.label == row.prediction
        draw_face(line[0], row.query, INK, f"label {row.label}, found {row.prediction}", GREEN if right else VERMILION)
        line[0].set_ylabel(
            f"{readable(row.attribute)}\nmargin {row.margin:.2f}",
            rotation=0,
            ha="right",
            va="center",
            fontsize=9,
            color=INK,
        )
        for m, axes in enumerate(line[1:]):
            if m >= len(row.neighbours):
                axes.set_axis_off()
                continue
            c = int(row.classes[m])
            color = (ORANGE, BLUE)[c] if c < 2 else SERIES[c % len(SERIES)]
            draw_face(axes, row.neighbours[m], color, f"class {c}, D {row.distances[m]:.2f}", INK)
    return figure


def draw_face(axes: Any, image: np.ndarray, frame: str, text: str, color: str) -> None:
    """An image without ticks in a coloured frame, with a text below."""
    axes.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(frame)
        spine.set_linewidth(2.5)
    axes.set_xlabel(text, fontsize=7.5, color=color)


def _plane(embeddings: np.ndarray, labels: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in a plane that shows the classes.

    The first axis is the one along which the class means differ most, the second that of most variance across it.

    Corner cases: the last class lies to the right; with a single class, or one dimension, the missing axis is zero.
    """
    data = embeddings.astype(np.float64)
    means = np.stack([data[labels == c].mean(axis=0) for c in np.unique(labels)])
    middle = means.mean(axis=0)
    first = np.linalg.svd(means - middle)[2][0] * (len(means) > 1)
    first = first * (-1 if (means[-1] - middle) @ first < 0 else 1)
    rest = (data - data.mean(axis=0)) - np.outer((data - data.mean(axis=0)) @ first, first)
    second = np.linalg.eigh(rest.T @ rest)[1][:, -1] * (data.shape[1] > 1)
    second = second * (-1 if second[np.abs(second).argmax()] < 0 else 1)
    axes = np.stack([first, second], axis=1)
    return (data - middle) @ axes, (centroids.astype(np.float64) - middle) @ axes
