"""The bootstrap over the images of several seeds against a loop and against scores, and what sharing images costs."""

import numpy as np
import pytest

from lmle_core.bootstrap import resampling_weights
from lmle_core.comparison import Pair, paired_over_images
from lmle_core.metrics import score


def drawn(seed: int, n: int = 60, attributes: int = 3, classes: int = 2) -> Pair:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=(n, attributes))
    labels[:, 0] = 0
    labels[:2, 0] = 1  # a class that some resamples miss
    sides = [np.where(rng.random(labels.shape) < right, labels, (labels + 1) % classes) for right in (0.8, 0.7)]
    return Pair(labels, *sides)


def slow_mean(labels: np.ndarray, found: np.ndarray, counts: np.ndarray, classes: int) -> float:
    """Mean balanced accuracy of a resample, class by class."""
    balanced = []
    for truth, own in zip(labels.T, found.T, strict=True):
        members = [counts[truth == c].sum() for c in range(classes)]
        recalls = [counts[(truth == c) & (own == c)].sum() / members[c] for c in range(classes) if members[c]]
        if len(recalls) >= 2:
            balanced.append(np.mean(recalls))
    return float(np.mean(balanced))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_the_interval_is_that_of_a_loop_in_which_each_seed_draws(classes: int, shared: bool) -> None:
    pairs = [drawn(seed, classes=classes) for seed in (1, 2, 3)]
    found = paired_over_images(pairs, classes, shared=shared, bootstrap=40, seed=7)
    points, draws = [], []
    for number, pair in enumerate(pairs):
        own = 7 if shared else int(np.random.SeedSequence([7, number]).generate_state(1, np.uint64)[0])
        weights = [np.ones(60), *np.concatenate(list(resampling_weights(60, 40, own)))]
        values = [
            slow_mean(pair.labels, pair.ours, counts, classes) - slow_mean(pair.labels, pair.theirs, counts, classes)
            for counts in weights
        ]
        points.append(values[0])
        draws.append(values[1:])
    assert found.mean == pytest.approx(np.mean(points))
    assert found.interval == pytest.approx(tuple(np.quantile(np.mean(draws, axis=0), [0.025, 0.975])))
    assert found.n == (60 if shared else 180)


def test_both_have_the_same_draws_so_the_interval_is_narrower_than_that_of_either() -> None:
    pair = drawn(4, n=2_000)
    worse = pair.ours.copy()
    worse[::40] = 1 - worse[::40]
    found = paired_over_images([Pair(pair.labels, pair.ours, worse)], shared=True, bootstrap=200)
    ours, theirs = (score(pair.labels, each, ["a", "b", "c"], bootstrap=200) for each in (pair.ours, worse))
    assert found.mean == pytest.approx(ours.mean_balanced_accuracy - theirs.mean_balanced_accuracy)
    assert found.interval is not None
    assert ours.interval is not None
    assert found.interval[0] < found.mean < found.interval[1]
    assert found.interval[1] - found.interval[0] < ours.interval[1] - ours.interval[0]


def test_seeds_that_share_images_learn_less_of_the_images() -> None:
    pair = drawn(5, n=300)
    widths = []
    for shared in (False, True):
        low, high = paired_over_images([pair] * 4, shared=shared, bootstrap=400).interval or (0, 0)
        widths.append(high - low)
    assert widths[0] == pytest.approx(widths[1] / 2, rel=0.2)  # four times the images would be half the width


def test_a_classifier_is_not_ahead_of_itself_and_sides_swap() -> None:
    pair = drawn(6)
    same = paired_over_images([Pair(pair.labels, pair.ours, pair.ours)], bootstrap=20)
    assert (same.mean, same.interval) == (0, (0, 0))
    swapped = Pair(pair.labels, pair.theirs, pair.ours)
    one, other = (paired_over_images([each], bootstrap=20) for each in (pair, swapped))
    assert other.mean == -one.mean


def test_wrong_pairs_are_refused() -> None:
    pair = drawn(7)
    with pytest.raises(ValueError, match=r"three arrays of one shape \(n, A\)"):
        Pair(pair.labels, pair.ours[:, :2], pair.theirs)
    with pytest.raises(ValueError, match=r"expected at least one, got \[\]"):
        paired_over_images([])
    with pytest.raises(ValueError, match=r"equally many images, got \[60, 50\]"):
        paired_over_images([pair, drawn(7, n=50)], shared=True)
    zeros = np.zeros((5, 1), dtype=np.int8)
    with pytest.raises(ValueError, match=r"pairs\[1\]: no attribute has two classes"):
        paired_over_images([pair, Pair(zeros, zeros, zeros)], bootstrap=5)
