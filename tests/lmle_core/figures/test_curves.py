"""Training curves: every part of the loss is drawn, smoothed, with the rounds marked."""

import numpy as np
import pytest

from lmle_core.figures import TrainingCurves, training_curves
from lmle_core.figures.curves import _running_mean


def test_the_running_mean_is_that_of_a_loop() -> None:
    values = np.random.default_rng(0).normal(size=23)
    for window in (1, 3, 5):
        reach = window // 2
        slow = [np.mean(values[max(0, i - reach) : i + reach + 1]) for i in range(23)]
        np.testing.assert_allclose(_running_mean(values, window), slow)


def test_each_loss_the_share_and_the_rounds_are_drawn() -> None:
    step = np.arange(0, 90, 10)
    curves = TrainingCurves(step, {"loss_class": 1 / (step + 1), "loss_bce": step * 0.01}, step / 100, (30, 60))
    figure = training_curves(curves)
    top, below = figure.axes
    heights = [np.asarray(line.get_ydata(), dtype=np.float64) for line in top.lines]
    drawn = [values for values in heights if len(values) == len(step)]
    np.testing.assert_allclose(drawn, [curves.losses["loss_class"], curves.losses["loss_bce"]])
    np.testing.assert_allclose(np.asarray(below.lines[0].get_ydata(), dtype=np.float64), step.astype(np.float64))
    assert [text.get_text() for text in top.texts] == ["round 1", "round 2", "round 3"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["class", "bce"]


def test_the_hinge_has_its_sum_and_its_value_at_collapse() -> None:
    step = np.arange(5)
    losses = {f"loss_header_{i}": np.full(5, 0.1 * i) for i in (1, 2, 3)}
    axes = training_curves(TrainingCurves(step, losses, np.ones(5), ceiling=0.8)).axes[0]
    assert [float(np.asarray(line.get_ydata())[0]) for line in axes.lines] == pytest.approx([0.1, 0.2, 0.3, 0.6, 0.8])
    assert axes.get_ylim()[1] > 0.8


def test_a_training_without_a_step_gives_an_empty_figure() -> None:
    figure = training_curves(TrainingCurves(np.zeros(0), {"loss_class": np.zeros(0)}, np.zeros(0)))
    figure.canvas.draw()
    assert [len(np.asarray(line.get_xdata())) for axes in figure.axes for line in axes.lines] == [0, 0]


def test_curves_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="loss_bce: expected 5 values, one a step, got 4"):
        TrainingCurves(np.arange(5), {"loss_bce": np.zeros(4)}, np.zeros(5))
