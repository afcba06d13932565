"""Figures of a comparison: gains against imbalance, differences of means, accuracy against the share removed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lmle_core.comparison.standing import Difference, Key, Standing
from lmle_core.comparison.tables import Comparison
from lmle_core.comparison.wording import signed, title
from lmle_core.figures.style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SERIES,
    VERMILION,
    legend_below,
    new_figure,
    tidy,
    title_over,
)

PANELS, _COLUMNS = 6, 3
"""Of a page of gains."""
_MARKERS = ("o", "s", "^", "D", "v", "<", ">")


def gains_against_imbalance(
    comparison: Comparison, titles: Mapping[str, str], *, clean: bool = False
) -> tuple[Figure, ...]:
    """What the reference gains on each attribute over each method, against how imbalanced the attribute is.

    One panel a method, six a page, each page of one scale: mean over seeds with the range over seeds, the least-squares
    line through the means and Spearman's ρ with its interval.

    Args:
        comparison: of a study.
        titles: of methods and rules.
        clean: on the clean labels.

    Raises:
        ValueError: where no method has a difference: the reference is alone, or clean labels are not known.
    """
    found = _differences(comparison, clean)
    pages = [found[start : start + PANELS] for start in range(0, len(found), PANELS)]
    figures = []
    for page in pages:
        gains = [100 * difference.gains for _, difference in page]
        least, most = min(float(np.nanmin(each)) for each in gains), max(float(np.nanmax(each)) for each in gains)
        margin = 0.08 * max(most - least, 0.5)
        columns = min(_COLUMNS, len(page))
        rows = -(-len(page) // columns)
        figure = new_figure(max(5.0, 3.6 * columns), 0.9 + 2.9 * rows)
        panels: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (standing, difference) in zip(panels.flat, page, strict=False):
            _panel(axes, difference)
            tidy(axes, _name(standing.key, titles, "\n"), grid="both")
            axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=9.5, color=INK, fontweight="bold")
            axes.set_ylim(least - margin, most + 3 * margin)  # room for the correlation
            axes.set_xlim(-2, 102 * (1 - 1 / comparison.classes))
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for empty in panels.flat[len(page) :]:
            empty.set_visible(False)
        for axes in panels.flat[max(0, len(page) - columns) : len(page)]:
            axes.tick_params(labelbottom=True)
        binary = comparison.classes == 2
        measure = "|positive rate − ½|" if binary else "largest class beyond an even share"
        seeds = len(comparison.seeds)
        marks = f"marks: mean over {seeds} seeds, whiskers: their range; " if seeds > 1 else ""
        figure.supxlabel(
            f"imbalance, {measure} (%{', clean labels' if clean else ''})\n{marks}dashed: least squares",
            fontsize=9.5,
            color=INK,
        )
        figure.supylabel(
            f"gain of {_name(comparison.reference, titles)}\nin balanced accuracy (points)",
            fontsize=9.5,
            color=INK,
            ma="center",
        )
        figures.append(figure)
    return tuple(figures)


def differences(comparison: Comparison, titles: Mapping[str, str]) -> Figure:
    """The reference minus each method in mean balanced accuracy, with the 95 % interval over seeds, largest on top.

    Filled marks: labels as annotated; hollow ones: clean labels, where these are known.

    Args:
        comparison: of a study.
        titles: of methods and rules.

    Raises:
        ValueError: where the reference is alone.
    """
    found = sorted(_differences(comparison, False), key=lambda each: -each[1].over_seeds.mean)
    figure = new_figure(9, 1.7 + 0.36 * len(found))
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=0.9)
    y = np.arange(len(found))[::-1]
    handles: dict[str, Any] = {}
    for at, (standing, noisy) in zip(y, found, strict=True):
        clean = standing.difference_clean
        for difference, label, shift, color, face in (
            (noisy, "labels as annotated", 0.0 if clean is None else 0.13, BLUE, BLUE),
            (clean, "clean labels", -0.13, VERMILION, "white"),
        ):
            if difference is None:
                continue
            estimate = difference.over_seeds
            if estimate.interval is not None:
                ends = [100 * end for end in estimate.interval]
                axes.plot(ends, [at + shift] * 2, color=color, linewidth=1.3, solid_capstyle="butt", zorder=2)
            point = axes.plot(
                [100 * estimate.mean], [at + shift], "o", ms=6, mfc=face, mec=color, mew=1.3, zorder=3, linestyle=""
            )
            handles.setdefault(label, point[0])
    reference = _name(comparison.reference, titles)
    interval = ", mean and 95 % interval over seeds" if len(comparison.seeds) > 1 else ""
    tidy(axes, x=f"mean balanced accuracy (points){interval}", grid="x")
    title_over(figure, f"{reference} minus each method")
    axes.set_yticks(y, [_name(standing.key, titles, "\n") for standing, _ in found])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.margins(x=0.06)
    legend_below(figure, list(handles.values()), list(handles))
    return figure


def accuracy_against_removed(comparisons: Mapping[float, Comparison], titles: Mapping[str, str]) -> Figure:
    """Mean balanced accuracy with its 95 % interval over seeds against the share of images removed, a line a method.

    Args:
        comparisons: by the share of images that were removed from half of the classes, 0 to 1.
        titles: of methods and rules.

    Corner cases: a method that one of the comparisons lacks has no point there.
    """
    shares = sorted(comparisons)
    last = comparisons[shares[-1]]
    keys = [each.key for each in last.standings]
    keys += sorted({each.key for share in shares for each in comparisons[share].standings} - set(keys))
    figure = new_figure(9, 4.4 + 0.2 * -(-len(keys) // 2))
    axes = figure.subplots()
    handles = []
    places = 100 * np.array(shares)
    width = min(0.4 * np.diff(places).min(), 0.09 * np.ptp(places)) if len(shares) > 1 else 1.0
    for number, key in enumerate(keys):
        own = [{each.key: each for each in comparisons[share].standings}.get(key) for share in shares]
        estimates = [each.scores["balanced_accuracy"] if each is not None else None for each in own]
        x = places + width * ((number + 0.5) / len(keys) - 0.5)  # beside each other, or the intervals would overlap
        means = [np.nan if each is None else 100 * each.mean for each in estimates]
        reference = key == last.reference
        color = SERIES[number % len(SERIES)]
        style: dict[str, Any] = {
            "linestyle": "-" if number < len(SERIES) else "--",
            "linewidth": 2.4 if reference else 1.2,
        }
        marker: dict[str, Any] = {"marker": _MARKERS[number % len(_MARKERS)], "markersize": 7 if reference else 5}
        handles.append(axes.plot(x, means, color=color, mec="white", mew=0.6, **style, **marker, zorder=3)[0])
        for at, estimate in zip(x, estimates, strict=True):
            if estimate is not None and estimate.interval is not None:
                ends = [100 * end for end in estimate.interval]
                axes.plot([at, at], ends, color=color, linewidth=1, solid_capstyle="butt", zorder=2)
    tidy(
        axes,
        f"Balanced accuracy of {len(keys)} methods as classes get rarer",
        "images removed from half of the classes (%)",
        "mean balanced accuracy (%)",
    )
    axes.set_xticks(places, [f"{100 * share:g}" for share in shares])
    legend_below(figure, handles, [_name(key, titles) for key in keys], columns=min(2, len(keys)))
    return figure


def _differences(comparison: Comparison, clean: bool) -> list[tuple[Standing, Difference]]:
    found = [
        (each, difference)
        for each in comparison.standings
        if (difference := each.difference_clean if clean else each.difference) is not None
    ]
    if not found:
        raise ValueError(
            f"comparison {comparison.study}: nothing to compare {comparison.reference} with"
            f"{' on clean labels' if clean else ''}"
        )
    return found


def _panel(axes: Any, difference: Difference) -> None:
    known = ~np.isnan(difference.mean_gains)
    x, y = 100 * difference.imbalance[known], 100 * difference.mean_gains[known]
    gains = 100 * difference.gains[:, known]
    axes.axhline(0, color=INK, linewidth=0.9)
    if len(gains) > 1:
        axes.vlines(x, np.nanmin(gains, axis=0), np.nanmax(gains, axis=0), color=PALE, linewidth=1.1, zorder=2)
    axes.scatter(x, y, s=22, c=np.where(y >= 0, BLUE, VERMILION), edgecolor="white", linewidth=0.5, zorder=3)
    if len(x) > 1 and np.ptp(x) > 0:
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=GREY, linewidth=1.4, linestyle=(0, (5, 3)))
    if difference.against_imbalance is not None:
        text = f"ρ = {signed(difference.against_imbalance, scale=1)}"
        axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=8, color=INK)


def _name(key: Key, titles: Mapping[str, str], between: str = " ") -> str:
    method, rule = (title(name, titles) for name in key)
    return f"{method}{between}({rule})"
