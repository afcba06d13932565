"""Resamples against a loop that counts image by image."""

from statistics import fmean

import numpy as np
import pytest

from lmle_core.bootstrap import resampled_accuracies, resampling_weights
from lmle_core.comparison import Pair, paired_over_images
from lmle_core.metrics import score


def slow_balanced_accuracy(
    labels: np.ndarray, predictions: np.ndarray, counts: np.ndarray, classes: int
) -> float | None:
    """Balanced accuracy of one attribute on a resample that holds image i counts[i] times, image by image."""
    recalls = []
    for c in range(classes):
        members = hits = 0
        for label, prediction, count in zip(labels, predictions, counts, strict=True):
            if label == c:
                members += int(count)
                hits += int(count) * int(prediction == label)
        if members:
            recalls.append(hits / members)
    return fmean(recalls) if len(recalls) >= 2 else None


@pytest.mark.parametrize("classes", [2, 3])
def test_intervals_are_those_of_a_loop_over_the_same_resamples(classes: int) -> None:
    rng = np.random.default_rng(3)
    labels, predictions = rng.integers(classes, size=(2, 40, 4))
    labels[:20, 1:] = 1
    labels[20:, 1:] = 0
    labels[:, 0] = 0
    labels[7, 0] = 1  # a class that many resamples miss
    weights = np.concatenate(list(resampling_weights(40, 60, seed=5)))
    slow = np.array(
        [
            [slow_balanced_accuracy(labels[:, a], predictions[:, a], counts, classes) for a in range(4)]
            for counts in weights
        ],
        dtype=np.float64,
    )
    assert np.isnan(slow[:, 0]).any()
    fast = resampled_accuracies(labels, predictions, classes, bootstrap=60, seed=5)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)
    scores = score(labels, predictions, list("abcd"), classes, bootstrap=60, seed=5)
    for a, row in enumerate(scores.attributes):
        assert row.interval == pytest.approx(tuple(np.nanquantile(slow[:, a], [0.025, 0.975])))
    assert scores.interval == pytest.approx(tuple(np.quantile(np.nanmean(slow, axis=1), [0.025, 0.975])))


def test_resamples_of_groups_draw_all_images_of_a_person_or_none() -> None:
    people = np.array([7, 3, 7, 7, 9, 3])
    weights = np.concatenate(list(resampling_weights(6, 400, 1, people)))
    for images in ([0, 2, 3], [1, 5]):
        assert (weights[:, images] == weights[:, images[:1]]).all()
    assert (weights[:, [0, 1, 4]].sum(axis=1) == 3).all()  # as many people as there are
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.15
    alone = np.concatenate(list(resampling_weights(6, 400, 1, np.arange(6))))
    np.testing.assert_array_equal(alone, np.concatenate(list(resampling_weights(6, 400, 1))))


def test_images_of_few_people_give_a_wider_interval() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 20)
    labels = (np.arange(800) % 2)[:, None]
    known = rng.random(40) < 0.7  # a person is recognised on every image, or on none
    predictions = np.where(known[people][:, None], labels, 1 - labels)
    (low, high), (lower, higher) = (
        score(labels, predictions, ["a"], bootstrap=500, groups=groups).interval or (0.0, 0.0)
        for groups in (None, people)
    )
    assert higher - lower > 3 * (high - low)


def test_images_of_one_person_alone_have_no_interval() -> None:
    labels = (np.arange(20) % 2)[:, None]
    assert score(labels, labels, ["a"], bootstrap=100, groups=np.zeros(20, int)).interval is None
    ours, theirs = labels.copy(), labels.copy()
    theirs[0] = 1 - theirs[0]
    pair = Pair(labels, ours, theirs, np.zeros(20, np.int32))
    found = paired_over_images([pair], bootstrap=100)
    assert found.mean > 0
    assert (found.low, found.high) == (None, None)


def test_each_resample_draws_as_many_images_as_there_are() -> None:
    blocks = list(resampling_weights(3_000, 1_500, seed=0))
    assert len(blocks) > 1  # more than is held at a time
    assert [len(block) for block in blocks[:-1]] == [len(blocks[0])] * (len(blocks) - 1)
    weights = np.concatenate(blocks)
    assert weights.shape == (1_500, 3_000)
    assert (weights.sum(axis=1) == 3_000).all()
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.2
