"""Calibration: the maximum of its penalised likelihood, scikit-learn's where that can be had, and its corner cases."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from lmle_core import calibration
from lmle_core.calibration import LEAST_WEIGHT, calibrate


def drawn(
    images: int = 400, classes: int = 3, attributes: int = 2, kinds: int = 2, seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Scores that know the labels, more or less, and labels of classes of unlike size."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size=(images, attributes), p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    truth = np.eye(classes)[labels]
    noise = rng.normal(size=(kinds, *truth.shape))
    tilt = rng.normal(size=(attributes, classes))
    return [(truth + (1 + k) * noise[k] + tilt).astype(np.float32) for k in range(kinds)], labels


def loss_of(weights: np.ndarray, biases: np.ndarray, scores: list[np.ndarray], labels: np.ndarray) -> float:
    """The equation of `calibrate`, image by image."""
    total, classes = 0.0, biases.shape[1]
    for a in range(labels.shape[1]):
        counts = np.bincount(labels[:, a], minlength=classes)
        worth = [1 / (np.count_nonzero(counts) * counts[y]) for y in labels[:, a]]
        for i, y in enumerate(labels[:, a]):
            z = sum(w * s[i, a].astype(np.float64) for w, s in zip(weights, scores, strict=True)) + biases[a]
            target = np.full(classes, 1 / (counts[y] + 2) / (classes - 1))
            target[y] = 1 - 1 / (counts[y] + 2)
            total -= worth[i] * (target * log_softmax(z)).sum()
        effective = 1 / sum(v**2 for v in worth)
        total += (biases[a].astype(np.float64) ** 2).sum() / (2 * calibration.DEVIATION**2 * effective)
    return total


def test_it_minimises_its_equation() -> None:
    scores, labels = drawn(images=120)
    found = calibrate(scores, labels)
    assert found.loss == pytest.approx(loss_of(found.weights, found.biases, scores, labels), rel=1e-6)

    def slow(parameters: np.ndarray) -> float:
        return loss_of(parameters[:2], parameters[2:].reshape(2, 3), scores, labels)

    best = minimize(slow, np.zeros(8), method="BFGS")
    np.testing.assert_allclose(found.weights, best.x[:2], atol=2e-3)
    np.testing.assert_allclose(found.biases.ravel(), best.x[2:], atol=2e-3)


def test_two_classes_of_one_attribute_are_scikit_learns_logistic_regression(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "DEVIATION", 1e4)
    scores, labels = drawn(classes=2, attributes=1)
    found = calibrate(scores, labels)
    differences = np.stack([each[:, 0, 1] - each[:, 0, 0] for each in scores], 1)
    counts = np.bincount(labels[:, 0])
    wrong = 1 / (counts + 2)[labels[:, 0]]  # a label's share of the other class
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    peer.fit(
        np.concatenate([differences, differences]),
        np.concatenate([labels[:, 0], 1 - labels[:, 0]]),
        np.concatenate([1 - wrong, wrong]) / np.tile(counts[labels[:, 0]], 2),
    )
    np.testing.assert_allclose(found.weights, peer.coef_[0], rtol=1e-3)
    assert found.biases[0, 1] - found.biases[0, 0] == pytest.approx(float(peer.intercept_[0]), rel=1e-3)


def test_misleading_scores_keep_the_least_weight() -> None:
    scores, labels = drawn()
    found = calibrate([scores[0], -scores[1]], labels)
    assert found.weights[1] == LEAST_WEIGHT
    assert found.weights[0] > 0.1


def test_a_class_that_validation_lacks_is_decided_as_well_as_before() -> None:
    scores, labels = drawn(images=4000, attributes=1, kinds=1)
    seen = labels[:, 0] != 2
    found = calibrate([scores[0][seen]], labels[seen])
    before, after = scores[0].argmax(-1), (found.weights[0] * scores[0] + found.biases).argmax(-1)
    recalls = [float((decided[~seen] == 2).mean()) for decided in (before, after)]
    assert recalls[1] == pytest.approx(recalls[0], abs=0.15)
    assert found.biases[0, :2].sum() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("images", [6, 60])
def test_scores_that_are_all_right_make_no_certainty(images: int) -> None:
    """Its posterior is that of Laplace's rule: (N + 1) / (N + 2)."""
    labels = np.arange(images)[:, None] % 2
    found = calibrate([0.03 * np.eye(2)[labels]], labels)
    assert found.weights[0] * 0.03 == pytest.approx(np.log(images / 2 + 1), rel=1e-2)


def test_numbers_that_are_none_are_refused() -> None:
    scores, labels = drawn()
    scores[1][3, 1, 2] = np.nan
    with pytest.raises(ValueError, match=r"scores\[1\]\[3, 1, 2\]: expected a number or −inf, found nan"):
        calibrate(scores, labels)


def test_few_images_move_the_biases_little() -> None:
    scores, labels = drawn(images=4000, attributes=1)
    few, many = calibrate([each[:30] for each in scores], labels[:30]), calibrate(scores, labels)
    assert np.abs(few.biases).max() < np.abs(many.biases).max()


def test_classes_that_are_ruled_out_or_missing_keep_a_bias_of_0() -> None:
    scores, labels = drawn(attributes=3)
    labels[:, 1] = np.minimum(labels[:, 1], 1)  # validation lacks class 2
    labels[:, 2] = 0  # and all but one here
    for each in scores:
        each[:, 0, 2] = -np.inf  # training lacks it
    found = calibrate(scores, labels)
    assert (found.biases[0, 2], found.biases[1, 2], np.abs(found.biases[2]).max()) == (0, 0, 0)
    assert (found.biases[0, :2] != 0).all()
    known = labels[:, 0] < 2
    kept = [each[known] for each in scores]
    kept_labels = labels[known]
    again = calibrate([each[:, :1, :2] for each in kept], kept_labels[:, :1])
    alone = calibrate([each[:, :1] for each in scores], labels[:, :1])
    np.testing.assert_allclose(alone.weights, again.weights, rtol=1e-3)
    np.testing.assert_allclose(alone.biases[:, :2], again.biases, atol=1e-3)
    nothing = calibrate([each[:, 2:] for each in scores], labels[:, 2:])
    assert (nothing.weights.tolist(), np.abs(nothing.biases).max()) == ([1, 1], 0)
