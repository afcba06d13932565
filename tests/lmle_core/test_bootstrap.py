"""Resamples against a loop that counts image by image."""

from statistics import fmean

import numpy as np
import pytest

from lmle_core.bootstrap import resampled_accuracies, resampling_weights
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


def test_each_resample_draws_as_many_images_as_there_are() -> None:
    blocks = list(resampling_weights(3_000, 1_500, seed=0))
    assert len(blocks) > 1  # more than is held at a time
    assert [len(block) for block in blocks[:-1]] == [len(blocks[0])] * (len(blocks) - 1)
    weights = np.concatenate(blocks)
    assert weights.shape == (1_500, 3_000)
    assert (weights.sum(axis=1) == 3_000).all()
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.2
