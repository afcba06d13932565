import numpy as np
import pytest
from scipy.special import softmax

from lmle_core.evaluation import threshold
from lmle_core.prior import class_shares


def test_thresholds_are_one_half_and_the_training_prior() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(200, 4, 2)).astype(np.float32)
    positive = softmax(logits.astype(np.float64), axis=-1)[..., 1]
    shares = np.array([[0.9, 0.1], [0.5, 0.5], [0.02, 0.98], [0.7, 0.3]])
    assert np.array_equal(threshold(logits, None), positive > 0.5)
    assert np.array_equal(threshold(logits, shares), positive > shares[:, 1])


def test_more_classes_are_weighed_by_their_shares_and_absent_ones_never_chosen() -> None:
    logits = np.log(np.array([[[0.5, 0.3, 0.2]]]))
    assert threshold(logits, np.array([[0.8, 0.15, 0.05]]))[0, 0] == 2
    assert threshold(logits, np.array([[0.8, 0.2, 0.0]]))[0, 0] == 1


@pytest.mark.parametrize("classes", [2, 3])
def test_shares_count_the_labels(classes: int) -> None:
    labels = np.random.default_rng(1).integers(classes, size=(50, 3))
    shares = class_shares(labels, classes)
    assert shares.sum(1) == pytest.approx([1, 1, 1])
    assert shares[1, 0] == np.mean(labels[:, 1] == 0)
