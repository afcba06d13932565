"""Figures of scores: balanced accuracy beside the published bars, gain against imbalance, and the two recalls."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lmle_core.celeba.facts import PUBLISHED
from lmle_core.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    legend_below,
    new_figure,
    readable,
    tidy,
)
from lmle_core.metrics import AttributeScores, Scores

_PUBLISHED_BAR = "LMLE-kNN"
_MARKERS = {"Triplet-kNN": "v", "ANet": "s"}
_LABELLED = 5


def imbalance(scores: AttributeScores) -> float:
    """Share of the largest class beyond an even share: |positive rate − ½| for two classes."""
    return max(scores.support) / sum(scores.support) - 1 / len(scores.support)


def balanced_accuracy_bars(scores: Scores, baselines: Mapping[str, Scores] | None = None) -> Figure:
    """Balanced accuracy of each attribute with its interval, the most imbalanced attribute on top.

    For CelebA's attributes, the bars of the LMLE paper are beside it, and its rivals as marks.

    Args:
        scores: of the classifier.
        baselines: drawn as small marks, by name; up to three stay readable.
    """
    rows = _by_imbalance(scores)
    known = any(row.attribute in PUBLISHED[_PUBLISHED_BAR] for row in rows)
    figure = new_figure(9, 1.9 + 0.29 * len(rows))
    axes = figure.subplots()
    y = np.arange(len(rows))[::-1]
    own = y + (0.2 if known else 0.0)
    height = 0.38 if known else 0.62
    values = np.array([100 * (row.balanced_accuracy or 0) for row in rows])
    handles: list[Any] = [axes.barh(own, values, height, color=BLUE)]
    labels = ["this run" + (", 95 % interval" if scores.interval else "")]
    _whiskers(axes, rows, own)
    if known:
        bars = np.array([100 * PUBLISHED[_PUBLISHED_BAR].get(row.attribute, np.nan) for row in rows])
        handles.append(axes.barh(y - 0.2, bars, height, color=PALE))
        labels.append(f"{_PUBLISHED_BAR}, published")
        for method, marker in _MARKERS.items():
            points = [100 * PUBLISHED[method].get(row.attribute, np.nan) for row in rows]
            handles.append(axes.plot(points, y - 0.2, marker, color=INK, markersize=3.2, linestyle="", mew=0)[0])
            labels.append(f"{method}, published")
    for (name, other), color in zip((baselines or {}).items(), (ORANGE, VERMILION, GREY), strict=False):
        found = {row.attribute: row.balanced_accuracy for row in other.attributes}
        points = [np.nan if (value := found[row.attribute]) is None else 100 * value for row in rows]
        handles.append(axes.plot(points, own, "D", color=color, markersize=4.2, mec="white", mew=0.5, linestyle="")[0])
        labels.append(name)
    chance = 100 / len(rows[0].support)
    left = 10 * np.floor(min([*values[values > 0], chance]) / 10)
    label = "balanced accuracy (%)" + ("; bars start at chance" if left == chance else "")
    tidy(axes, "Balanced accuracy of each attribute, most imbalanced first", label, grid="x")
    axes.set_xlim(left, 100)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_yticks(y, [readable(row.attribute) for row in rows])
    axes.tick_params(axis="y", length=0)
    _right_labels(axes, y, [_rate(row) for row in rows], "positive" if len(rows[0].support) == 2 else "largest class")
    legend_below(figure, handles, labels, columns=min(3, len(labels)))
    return figure


def gain_against_imbalance(scores: Scores, baseline: Scores, name: str) -> Figure:
    """What the classifier gains over a baseline on each attribute, against how rare the attribute's positives are.

    Args:
        scores: of the classifier.
        baseline: of the other, on the same images.
        name: the baseline's.
    """
    other = {row.attribute: row.balanced_accuracy for row in baseline.attributes}
    points = [
        (100 * _share(row), 100 * (row.balanced_accuracy - theirs), row.attribute)
        for row in scores.attributes
        if row.balanced_accuracy is not None and (theirs := other.get(row.attribute)) is not None
    ]
    x, y = np.array([point[0] for point in points]), np.array([point[1] for point in points])
    figure = new_figure(9, 5)
    axes = figure.subplots()
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.scatter(x[y >= 0], y[y >= 0], s=34, color=BLUE, edgecolor="white", linewidth=0.6, zorder=3)
    axes.scatter(x[y < 0], y[y < 0], s=34, color=VERMILION, edgecolor="white", linewidth=0.6, zorder=3)
    mean = 100 * (scores.mean_balanced_accuracy - baseline.mean_balanced_accuracy)
    axes.axhline(mean, color=BLUE, linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(
        f"mean {mean:+.1f}",
        (1, mean),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=BLUE,
        annotation_clip=False,
    )
    binary = len(scores.attributes[0].support) == 2
    tidy(
        axes,
        f"Gain over {name} against imbalance: better on {int((y > 0).sum())} of {len(points)} attributes",
        "positive images (%)" if binary else "images of the largest class (%)",
        "balanced accuracy gained (points)",
        grid="both",
    )
    axes.set_xlim(-2, 102) if binary else axes.margins(x=0.08)
    axes.margins(y=0.12)
    _label_extremes(axes, points)
    return figure


def recalls(scores: Scores, baseline: Scores | None = None, name: str = "baseline") -> Figure:
    """Recall of each class of each attribute, the most imbalanced attribute on top; a long bar is a biased classifier.

    Args:
        scores: of the classifier.
        baseline: of another, drawn as hollow marks.
        name: the baseline's.
    """
    rows = _by_imbalance(scores)
    classes = len(rows[0].support)
    figure = new_figure(9, 1.7 + 0.24 * len(rows))
    axes = figure.subplots()
    y = np.arange(len(rows))[::-1]
    handles: list[object] = []
    labels: list[str] = []
    names = ["negatives recognised (TNR)", "positives recognised (TPR)"] if classes == 2 else []
    colors = (ORANGE, BLUE) if classes == 2 else None
    for series, filled in ((scores, True), (baseline, False)):
        if series is None:
            continue
        found = {row.attribute: row.recall for row in series.attributes}
        table = np.array(
            [[np.nan if r is None else 100 * r for r in found[row.attribute]] for row in rows], dtype=np.float64
        )
        if filled:
            axes.hlines(y, np.nanmin(table, axis=1), np.nanmax(table, axis=1), color=PALE, linewidth=3.5, zorder=1)
        for c in range(classes):
            color = colors[c] if colors else f"C{c}"
            style = {"color": color} if filled else {"mfc": "none", "mec": color, "mew": 1.1}
            handles.append(axes.plot(table[:, c], y, "o", markersize=5.5 if filled else 6, zorder=3, **style)[0])
            label = names[c] if names else f"class {c} recognised"
            labels.append(label if filled else f"{label.split(' (')[-1].rstrip(')')}, {name}")
    tidy(axes, "Recall of each class, most imbalanced attribute first", "recall (%)", grid="x")
    axes.set_xlim(-1, 101)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_yticks(y, [readable(row.attribute) for row in rows])
    axes.tick_params(axis="y", length=0)
    _right_labels(axes, y, [_rate(row) for row in rows], "positive" if classes == 2 else "largest class")
    legend_below(figure, handles, labels, columns=min(4, len(labels)))
    return figure


def _by_imbalance(scores: Scores) -> list[AttributeScores]:
    return sorted(scores.attributes, key=lambda row: (-imbalance(row), row.attribute))


def _share(row: AttributeScores) -> float:
    """The share of positives, or of the largest of several classes."""
    return (row.support[1] if len(row.support) == 2 else max(row.support)) / sum(row.support)


def _rate(row: AttributeScores) -> str:
    return f"{100 * _share(row):.1f} %"


def _whiskers(axes: Any, rows: list[AttributeScores], y: np.ndarray) -> None:
    for row, at in zip(rows, y, strict=True):
        if row.interval is not None:
            axes.plot([100 * end for end in row.interval], [at, at], color=INK, linewidth=1.1, solid_capstyle="butt")


def _right_labels(axes: Any, y: np.ndarray, texts: list[str], heading: str) -> None:
    """Values along the right edge, with a heading on top."""
    right = axes.secondary_yaxis("right")
    right.set_yticks(y, texts)
    right.tick_params(length=0, labelsize=8, colors=GREY)
    right.spines["right"].set_visible(False)
    axes.annotate(
        heading, (1, 1), xycoords="axes fraction", xytext=(8, 4), textcoords="offset points", fontsize=8, color=GREY
    )


def _label_extremes(axes: Any, points: list[tuple[float, float, str]]) -> None:
    """Names beside the largest gains and losses, moved up where they would overlap."""
    ordered = sorted(points, key=lambda point: point[1])
    chosen = ordered if len(ordered) <= 2 * _LABELLED else ordered[:_LABELLED] + ordered[-_LABELLED:]
    for x, y, attribute in chosen:
        left = x > 75
        axes.annotate(
            readable(attribute),
            (x, y),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
            color=INK,
        )
