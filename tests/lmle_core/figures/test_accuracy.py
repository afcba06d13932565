"""Figures of scores show the numbers that they were given, in the order that they promise."""

import numpy as np
import pytest

from lmle_core.celeba.facts import PUBLISHED
from lmle_core.figures import balanced_accuracy_bars, gain_against_imbalance, recalls
from lmle_core.figures.accuracy import imbalance
from lmle_core.metrics import Scores, score

RATES = {"Male": 0.4, "Bald": 0.1, "No_Beard": 0.8}


def made(names: list[str], flip: float, classes: int = 2, bootstrap: int = 50) -> Scores:
    labels = np.stack([np.arange(100) < 100 * RATES[name] for name in RATES], axis=1).astype(np.int8)
    if classes == 3:
        labels[::3] = 2
    rng = np.random.default_rng(0)
    predictions = np.where(rng.random(labels.shape) < flip, (labels + 1) % classes, labels)
    return score(labels, predictions, names, classes, bootstrap=bootstrap)


def test_bars_are_the_scores_with_the_most_imbalanced_attribute_on_top() -> None:
    scores = made(list(RATES), 0.2)
    axes = balanced_accuracy_bars(scores, {"BCE": made(list(RATES), 0.3)}).axes[0]
    named = dict(zip((text.get_text() for text in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    assert sorted(named, key=lambda name: -named[name]) == ["Bald", "No Beard", "Male"]
    ours, published = axes.containers
    by_name = {row.attribute: row for row in scores.attributes}
    for a, name in enumerate(("Bald", "No_Beard", "Male")):
        assert ours[a].get_width() == pytest.approx(100 * (by_name[name].balanced_accuracy or 0))
        assert published[a].get_width() == pytest.approx(100 * PUBLISHED["LMLE-kNN"][name])
        assert ours[a].get_y() > published[a].get_y()


@pytest.mark.parametrize("classes", [2, 3])
def test_attributes_that_are_not_celebas_have_no_published_bars(classes: int) -> None:
    figure = balanced_accuracy_bars(made(["a", "b", "c"], 0.2, classes))
    assert len(figure.axes[0].containers) == 1


def test_an_attribute_without_a_balanced_accuracy_is_shown_without_a_bar() -> None:
    labels = np.array([[0, 0], [0, 1], [0, 1]], dtype=np.int8)
    scores = score(labels, labels, ["Bald", "Male"], bootstrap=20)
    for figure in (balanced_accuracy_bars(scores), recalls(scores), gain_against_imbalance(scores, scores, "itself")):
        figure.canvas.draw()
    assert [bar.get_width() for bar in balanced_accuracy_bars(scores).axes[0].containers[0]] == [0, 100]


def test_gains_are_differences_at_the_positive_rate() -> None:
    ours, theirs = made(list(RATES), 0.1), made(list(RATES), 0.3)
    axes = gain_against_imbalance(ours, theirs, "BCE").axes[0]
    points = np.concatenate([np.asarray(drawn.get_offsets()) for drawn in axes.collections])
    expected = [
        (100 * RATES[a.attribute], 100 * ((a.balanced_accuracy or 0) - (b.balanced_accuracy or 0)))
        for a, b in zip(ours.attributes, theirs.attributes, strict=True)
    ]
    np.testing.assert_allclose(sorted(points.tolist()), sorted(expected))
    better = sum(gain > 0 for _, gain in expected)
    assert f"better on {better} of 3" in axes.get_title(loc="left")


def test_recalls_are_those_of_each_class() -> None:
    scores = made(list(RATES), 0.2)
    axes = recalls(scores).axes[0]
    negatives, positives = axes.lines
    by_name = {row.attribute: row for row in scores.attributes}
    rows = [by_name[name] for name in ("Bald", "No_Beard", "Male")]
    assert list(np.asarray(negatives.get_xdata(), dtype=np.float64)) == pytest.approx(
        [100 * (row.tnr or 0) for row in rows]
    )
    assert list(np.asarray(positives.get_xdata(), dtype=np.float64)) == pytest.approx(
        [100 * (row.tpr or 0) for row in rows]
    )


def test_imbalance_is_how_far_the_largest_class_is_from_an_even_share() -> None:
    male, bald, no_beard = made(list(RATES), 0).attributes
    assert [imbalance(row) for row in (male, bald, no_beard)] == pytest.approx([0.1, 0.4, 0.3])
