"""The figure of a training: each part of the loss and the share of active quintuplets over the steps of all rounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lmle_core.figures.style import BLUE, GREY, INK, SERIES, legend_below, new_figure, tidy


@dataclass(frozen=True)
class TrainingCurves:
    """What training logged, over all rounds.

    Attributes:
        step: (m,) increasing steps, counted over all rounds.
        losses: name of each part of the loss (loss_header_1, loss_class, ...) to its (m,) values.
        active_share: (m,) share of anchors that still have a loss, in 0..1.
        boundaries: first step of each round after the first.
        ceiling: g1 + g2 + g3, where the loss is the hinge: its value when all distances are equal.
    """

    step: np.ndarray
    losses: Mapping[str, np.ndarray]
    active_share: np.ndarray
    boundaries: tuple[int, ...] = field(default=())
    ceiling: float | None = None

    def __post_init__(self) -> None:
        for name, values in {**self.losses, "active_share": self.active_share}.items():
            if len(values) != len(self.step):
                raise ValueError(f"{name}: expected {len(self.step)} values, one a step, got {len(values)}")


def training_curves(curves: TrainingCurves) -> Figure:
    """Losses above, active share below, both smoothed over the raw values, with the rounds marked."""
    figure = new_figure(9, 6)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    handles, labels = [], []
    for (name, values), color in zip(curves.losses.items(), SERIES, strict=False):
        handles.append(_line(top, curves.step, np.asarray(values, dtype=np.float64), color))
        labels.append(name.removeprefix("loss_").replace("_", " "))
    if curves.ceiling is not None:
        total = np.sum([values for name, values in curves.losses.items() if name.startswith("loss_header")], axis=0)
        handles.append(_line(top, curves.step, total, INK))
        labels.append("sum of the headers")
        handles.append(top.axhline(curves.ceiling, color=GREY, linewidth=1, linestyle=(0, (5, 3))))
        labels.append("g1 + g2 + g3: its value at collapse")
    tidy(top, "Training loss, by part", "", "loss")
    low, high = top.get_ylim()
    top.set_ylim(min(0.0, low), high + 0.12 * (high - min(0.0, low)))  # room for the rounds' names
    _line(below, curves.step, 100 * np.asarray(curves.active_share, dtype=np.float64), BLUE)
    tidy(below, "Active anchors", "step", "share (%)")
    below.set_ylim(0, 101)
    for axes in (top, below):
        for boundary in curves.boundaries:
            axes.axvline(boundary, color=INK, linewidth=0.8, linestyle=":")
        if len(curves.step):
            axes.set_xlim(0, float(curves.step[-1]) or 1)
    if len(curves.step):
        starts = [0, *curves.boundaries]
        for number, start in enumerate(starts, start=1):
            top.annotate(
                f"round {number}", (start, 1), xycoords=("data", "axes fraction"), xytext=(4, -3),
                textcoords="offset points", va="top", fontsize=8, color=INK,
            )  # fmt: skip
    legend_below(figure, handles, labels)
    return figure


def _line(axes: Any, step: np.ndarray, values: np.ndarray, color: str) -> Any:
    window = len(values) // 50 | 1
    if window > 1:
        axes.plot(step, values, color=color, linewidth=0.6, alpha=0.25)
    return axes.plot(step, _running_mean(values, window), color=color, linewidth=1.7)[0]


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over a centred window, shortened at the ends."""
    if len(values) == 0:
        return values
    ones = np.ones(window)
    sums = np.convolve(values, ones, mode="same")
    return sums / np.convolve(np.ones(len(values)), ones, mode="same")
