"""The picture of a search: the query, and the training images nearest to it, framed by their labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lmle_core.figures.embedding import draw_face
from lmle_core.figures.style import BLUE, INK, ORANGE, SERIES, legend_below, new_figure, readable, title_over

COLUMNS = 6


def neighbour_grid(
    attribute: str,
    query: np.ndarray,
    answer: str,
    neighbours: np.ndarray,
    labels: Sequence[int],
    distances: Sequence[float],
) -> Figure:
    """The query in a black frame first, then its k neighbours in frames of their labels' colours, the nearest first.

    Args:
        attribute: its name.
        query: (3, H, W) uint8.
        answer: what the model says of it, under the picture.
        neighbours: (k, 3, H, W) uint8.
        labels: k classes.
        distances: k.
    """
    _, height, width = query.shape
    columns = min(COLUMNS, len(neighbours)) + 1
    lines = -(-len(neighbours) // (columns - 1))
    cell = 1.3
    figure = new_figure(cell * columns + 0.3, (cell * height / width + 0.25) * lines + 0.6)
    title_over(figure, f"{readable(attribute)}: the nearest training images")
    grid = figure.subplots(lines, columns, squeeze=False)
    classes = sorted(set(labels))
    colors = {c: (ORANGE, BLUE)[c] if max(classes) < 2 else SERIES[c % len(SERIES)] for c in classes}
    draw_face(grid[0, 0], query, INK, answer, INK)
    for axes in grid[1:, 0]:
        axes.set_axis_off()
    for m, axes in enumerate(grid[:, 1:].ravel()):
        if m < len(neighbours):
            draw_face(axes, neighbours[m], colors[labels[m]], f"{labels[m]}, D {distances[m]:.3f}", INK)
        else:
            axes.set_axis_off()
    frames = [grid[0, 0].scatter([], [], s=60, marker="s", color=colors[c], linewidth=0) for c in classes]
    legend_below(figure, frames, [f"labelled {c}" for c in classes])
    return figure
