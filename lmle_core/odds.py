"""Shares of the classes in training, and a classifier's log-odds free of them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from lmle_core.calibration import calibrate


def class_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """Share of each class of each attribute, float64 (A, C), of labels (N, A)."""
    return np.stack([(labels == c).mean(0) for c in range(classes)], axis=1)


def log_odds(logits: NDArray[np.float32], shares: NDArray[np.floating]) -> NDArray[np.float32]:
    """How much more probable each class is than in training, log p_c(x) − log π_c, float32 (n, A, C).

    Args:
        logits: shape (n, A, C), of a network trained by cross-entropy.
        shares: π, shape (A, C).

    Corner cases: a class that training never showed is never chosen: −inf.
    """
    known = np.where(shares > 0, shares, 1.0).astype(np.float32)
    return np.where(shares > 0, log_softmax(logits, axis=-1) - np.log(known), np.float32(-np.inf))


def calibrated_odds(
    logits: NDArray[np.float32], labels: NDArray[np.int8], shares: NDArray[np.floating]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Log p − log π or log p, whichever explains validation better once it is calibrated, with the biases of that.

    Args:
        logits: of the validation split, shape (n, A, C).
        labels: of its images, shape (n, A).
        shares: π, shape (A, C).

    Returns:
        Logits of any images to their scores, float32 (m, A, C).

    Source: `lmle_core.calibration.calibrate`.

    Corner cases: where validation has one class of each attribute, the scores are log p − log π. A class that training
    never showed is never chosen.
    """

    def free(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return log_odds(logits, shares)

    def plain(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return without_absent(log_softmax(logits, axis=-1), shares)

    fitted = [(base, calibrate([base(logits)], labels)) for base in (free, plain)]
    base, found = min(fitted, key=lambda each: each[1].loss)
    weight = np.float32(found.weights[0])
    return lambda others: without_absent(weight * base(others) + found.biases, shares)


def without_absent(scores: NDArray[np.float32], shares: NDArray[np.floating]) -> NDArray[np.float32]:
    """The scores (n, A, C), −inf for classes that training never showed: these are never chosen."""
    return np.where(shares > 0, scores, np.float32(-np.inf))
