"""The decision between champion and challenger against a loop, and what it hangs on."""

import numpy as np
import pytest

from lmle_core.bootstrap import resampling_weights
from lmle_core.config import Promotion
from lmle_core.promotion import judge
from tests.lmle_core.test_bootstrap import slow_balanced_accuracy

ATTRIBUTES = ("Bald", "Male", "Smiling")
BOOTSTRAP = 60


def sides(
    seed: int, ours: tuple[float, ...], theirs: tuple[float, ...], n: int = 120, classes: int = 2
) -> list[np.ndarray]:
    """Labels, and what two classifiers say that recognise those shares of each attribute's images."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=(n, len(ATTRIBUTES)))
    labels[:, 0] = 0
    labels[:3, 0] = 1  # a class that some resamples miss
    said = [np.where(rng.random(labels.shape) < right, labels, (labels + 1) % classes) for right in (ours, theirs)]
    return [labels, *said]


def slow_judge(
    labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray, rule: Promotion, classes: int
) -> tuple[list[float], list[np.ndarray], bool]:
    """Gain, its interval, each attribute's difference and interval, and the decision, in plain loops."""
    draws = [np.ones(len(labels)), *np.concatenate(list(resampling_weights(len(labels), BOOTSTRAP, 3)))]
    means: list[float] = []
    columns: list[list[float | None]] = [[] for _ in ATTRIBUTES]
    for weights in draws:
        totals: list[list[float]] = [[], []]
        for a in range(len(ATTRIBUTES)):
            mine, other = (
                slow_balanced_accuracy(labels[:, a], said[:, a], weights, classes) for said in (ours, theirs)
            )
            if mine is None or other is None:
                columns[a].append(None)
                continue
            columns[a].append(mine - other)
            totals[0].append(mine)
            totals[1].append(other)
        means.append(sum(totals[0]) / len(totals[0]) - sum(totals[1]) / len(totals[1]))
    ends = [np.quantile(means[1:], [0.025, 0.975])]
    for column in columns:
        ends.append(np.quantile([value for value in column[1:] if value is not None], [0.025, 0.975]))
    points = [means[0], *(column[0] for column in columns if column[0] is not None)]
    promoted = 100 * ends[0][0] > rule.least_gain and all(100 * point >= -rule.most_loss for point in points[1:])
    return points, ends, promoted


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("ours", "theirs", "rule"),
    [
        ((0.9, 0.9, 0.9), (0.6, 0.6, 0.6), Promotion()),
        ((0.7, 0.7, 0.7), (0.7, 0.7, 0.7), Promotion()),
        ((0.95, 0.95, 0.5), (0.5, 0.5, 0.8), Promotion(most_loss=10)),
        ((0.9, 0.9, 0.9), (0.6, 0.6, 0.6), Promotion(least_gain=40)),
        ((0.6, 0.7, 0.7), (0.7, 0.7, 0.7), Promotion(least_gain=-50, most_loss=100)),
    ],
)
def test_the_verdict_is_that_of_a_loop(
    ours: tuple[float, ...], theirs: tuple[float, ...], rule: Promotion, classes: int
) -> None:
    labels, challenger, champion = sides(1, ours, theirs, classes=classes)
    found = judge(labels, challenger, champion, ATTRIBUTES, rule, classes, bootstrap=BOOTSTRAP, seed=3)
    points, ends, promoted = slow_judge(labels, challenger, champion, rule, classes)
    for estimate, point, interval in zip([found.gain, *found.attributes.values()], points, ends, strict=True):
        assert estimate is not None
        assert estimate.mean == pytest.approx(point, rel=1e-12)
        assert estimate.interval == pytest.approx(tuple(interval), rel=1e-12)
    assert found.promoted == promoted
    assert found.challenger - found.champion == pytest.approx(found.gain.mean)


def test_a_better_one_is_promoted_and_the_same_one_is_not() -> None:
    labels, ours, theirs = sides(2, (0.95,) * 3, (0.6,) * 3, n=600)
    better = judge(labels, ours, theirs, ATTRIBUTES, Promotion(), bootstrap=200)
    assert better.promoted
    assert "no attribute loses too much" in better.reason
    assert better.markdown().startswith("Promoted: gains +")
    same = judge(labels, ours, ours, ATTRIBUTES, Promotion(), bootstrap=200)
    assert (same.promoted, same.gain.mean, same.gain.interval) == (False, 0, (0, 0))
    assert "0.00 (0.00 to 0.00) points is not certain to be above promotion.least_gain 0" in same.reason


def test_an_attribute_that_loses_too_much_keeps_a_better_one_back_by_name() -> None:
    labels, ours, theirs = sides(3, (0.99, 0.99, 0.6), (0.6, 0.6, 0.8), n=900)
    found = judge(labels, ours, theirs, ATTRIBUTES, Promotion(), bootstrap=200)
    assert found.gain.low is not None and found.gain.low > 0
    (objection,) = found.objections
    assert objection.startswith("Smiling −") and objection.endswith("more than promotion.most_loss 5 allows to lose")
    table = found.markdown().splitlines()
    assert table[0] == f"Not promoted: {objection}."
    assert [line.split(" | ")[0] for line in table[6:8]] == ["| mean", "| Smiling"]  # the largest loss first
    assert judge(labels, ours, theirs, ATTRIBUTES, Promotion(most_loss=50), bootstrap=200).promoted


def test_of_many_losses_the_largest_are_named_and_the_others_counted() -> None:
    names = [f"attribute {number}" for number in range(8)]
    labels = np.random.default_rng(5).integers(2, size=(900, 8))
    wrong = np.arange(900)[:, None] < 50 * np.arange(1, 9)  # the more, the later the attribute
    objection = judge(labels, labels ^ wrong, labels, names, Promotion(most_loss=1), bootstrap=200).objections[-1]
    assert objection.endswith(" points, and 3 other attributes, more than promotion.most_loss 1 allows to lose")
    assert [part.split(" −")[0] for part in objection.split(", ")[:5]] == [names[number] for number in (7, 6, 5, 4, 3)]


def test_an_attribute_of_one_class_neither_gains_nor_loses() -> None:
    labels, ours, theirs = sides(4, (0.9,) * 3, (0.6,) * 3)
    labels[:, 0] = 0
    found = judge(labels, ours, theirs, ATTRIBUTES, Promotion(), bootstrap=BOOTSTRAP)
    assert found.attributes["Bald"] is None
    assert found.to_json()["attributes"]["Bald"] is None
    assert "| Bald | one class only |" in found.markdown()
