"""Shares of the classes in training, and a classifier's log-odds free of them."""

import numpy as np
from numpy.typing import NDArray


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
    return np.where(shares > 0, log_probabilities(logits) - np.log(known), np.float32(-np.inf))


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithms of the class probabilities, float32, of logits (n, A, C)."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
