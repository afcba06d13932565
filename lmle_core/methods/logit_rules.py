"""Decision rules over the classifier's logits: the posterior, the prior taken off, offsets and calibration."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from lmle_core.config import Config
from lmle_core.methods.outputs import Outputs, Scorer
from lmle_core.odds import calibrated_odds, log_odds, without_absent

SWEEPS = 3
"""Rounds of coordinate ascent over the classes; more change next to nothing."""


def half(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """The most probable class: log p. For two classes, a threshold of ½."""
    return lambda outputs: log_softmax(outputs.logits, axis=-1)


def prior(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """The class whose probability most exceeds its share in training: log p − log π."""
    return lambda outputs: log_odds(outputs.logits, shares)


def adjusted(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """Plain logits, of a network that was trained with the prior added to them."""
    return lambda outputs: without_absent(outputs.logits, shares)


def optimum(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """Offsets of the logits, for each attribute those that give the best balanced accuracy on validation.

    1. of two classes, the second one gets the best offset, an exact threshold on the difference of the logits.
       `best_cut` says which, among equals;
    2. of more, the offsets begin at −log π or at 0, whichever is better as it is, the former among equals: a network
       whose training balances the classes needs none;
    3. then one class after the other gets the offset that is best with those of the others as they are, `SWEEPS` times,
       and an offset changes only for the better.

    Corner cases: an attribute of which validation has one class keeps −log π. A class that validation lacks keeps its
    offset, and one that training lacks is never chosen.
    """
    classes = shares.shape[1]
    offsets = np.stack([_fitted(valid.logits[:, a], valid.labels[:, a], shares[a]) for a in range(len(shares))])
    if classes > 2:
        return lambda outputs: without_absent(outputs.logits + offsets.astype(np.float32), shares)
    threshold = (offsets[:, 0] - offsets[:, 1]).astype(np.float32)

    def over(outputs: Outputs) -> NDArray[np.float32]:
        above = outputs.logits[..., 1] - outputs.logits[..., 0] - threshold
        return without_absent(np.stack([np.zeros_like(above), above], -1), shares)

    return over


def calibrated(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """Log-odds with weight and biases fitted on validation: `lmle_core.odds.calibrated_odds`."""
    scores = calibrated_odds(valid.logits, valid.labels, shares)
    return lambda outputs: scores(outputs.logits)


def best_cut(values: NDArray[np.float32], gains: NDArray[np.float64]) -> tuple[float, float]:
    """The cut t that maximises the sum of the gains of all values below it, and that sum.

    Args:
        values: float32 (n,), at least one.
        gains: float64 (n,).

    Returns:
        t, a float32 midway between two neighbouring values, and the sum.

    Corner cases: of equal sums the cut with the widest gap is taken, then the lowest; below the least value and above
    the greatest the gap counts as nothing. Neighbours without a float32 between them are cut at the upper one.
    """
    order = np.argsort(values, kind="stable")
    rising, starts = np.unique(values[order], return_index=True)
    sums = np.concatenate([[0.0], np.add.reduceat(gains[order], starts).cumsum()])  # sums[i]: below rising[i]
    gaps = np.concatenate([[0.0], np.diff(rising.astype(np.float64)), [0.0]])
    best = int(np.lexsort((-gaps, -np.round(sums, 12)))[0])
    if best == 0:
        return float(rising[0]), float(sums[0])
    if best == len(rising):
        return float(np.nextafter(rising[-1], np.float32(np.inf))), float(sums[-1])
    low, high = rising[best - 1], rising[best]
    middle = np.float32((float(low) + float(high)) / 2)
    return float(middle if low < middle else high), float(sums[best])


def _fitted(logits: NDArray[np.float32], labels: NDArray[np.int8], shares: NDArray[np.float32]) -> NDArray[np.float64]:
    """Offsets (C,), float64, of one attribute."""
    classes = len(shares)
    offsets = -np.log(np.where(shares > 0, shares, 1.0))
    counts = np.bincount(labels, minlength=classes)
    present = np.flatnonzero((shares > 0) & (counts > 0))
    if len(present) < 2:
        return offsets
    worth = 1 / np.maximum(counts, 1)[labels]  # of a hit of each image; their sum is the sum of the recalls
    if classes == 2:
        offsets[:] = 0
        values = logits[:, 0] - logits[:, 1]
        offsets[1], _ = best_cut(values, np.where(labels == 1, worth, -worth))
        return offsets
    allowed = np.where(shares > 0, logits, -np.inf)
    hits = [worth[(allowed + start).argmax(1) == labels].sum() for start in (offsets, 0.0)]
    if hits[1] > hits[0] + 1e-12:
        offsets[:] = 0
    for _ in range(SWEEPS):
        for c in present:
            others = allowed + offsets
            others[:, c] = -np.inf
            values = (others.max(1) - logits[:, c]).astype(np.float32)
            gains = np.where(labels == c, worth, np.where(others.argmax(1) == labels, -worth, 0.0))
            cut, best = best_cut(values, gains)
            if best > gains[values < offsets[c]].sum() + 1e-12:
                offsets[c] = cut
    return offsets
