"""Scores of the classes, weighed and offset until their softmax is what a balanced validation split shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

DEVIATION = 0.5
"""Standard deviation of the normal prior of the biases, in log-odds; decision 7."""
LEAST_WEIGHT = 1e-3
"""Of any scores: they keep a say, and their order where nothing else has one."""
ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class Calibration:
    """How scores of several kinds become log-odds under balanced classes: z_c = Σ_k w_k s_kc + b_c.

    Attributes:
        weights: w, float64 (K,), of each kind; at least `LEAST_WEIGHT`.
        biases: b, float32 (A, C), of each class of each attribute.
        loss: what they minimise.
    """

    weights: NDArray[np.float64]
    biases: NDArray[np.float32]
    loss: float


def calibrate(scores: Sequence[NDArray[np.floating]], labels: NDArray[np.integer]) -> Calibration:
    """Weights, the same for all attributes, and biases that explain the labels best, every class counting the same.

        min over w, b of Σ_a [ Σ_i v_ia Σ_c t_iac (−log softmax(z_ia)_c)  +  |b_a|² / (2 σ² n_a) ]

    v_ia is 1 / (classes of a · images N_y of the image's class y), n_a = 1 / Σ_i v_ia² the effective number of images:
    b has a normal prior of deviation σ = `DEVIATION`. The target t is 1 − 1 / (N_y + 2) for y, the rest is shared by
    the other classes, so that few images, all of them right, make no certainty. It is convex.

    Args:
        scores: of each kind, shape (n, A, C); −inf where a class is ruled out.
        labels: of the images, shape (n, A).

    Raises:
        ValueError: for a score that is NaN or +inf.

    Corner cases: a class that is ruled out, or that the labels lack, takes no part: its bias is 0, and so is the mean
    of the others', nearly. Images of a ruled-out class do not count, nor does an attribute of which one class is left.
    Where nothing counts, every weight is 1.

    Source: multinomial logistic regression (conditional logit; McFadden, 1974) under scikit-learn's
    `class_weight="balanced"`; the targets of Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    values = np.stack(scores).astype(np.float64)  # (K, n, A, C)
    if (wrong := np.argwhere(np.isnan(values) | (values == np.inf))).size:
        kind, image, attribute, c = wrong[0]
        raise ValueError(
            f"scores[{kind}][{image}, {attribute}, {c}]: expected a number or −inf, found {values[tuple(wrong[0])]}"
        )
    kinds, _, attributes, classes = values.shape
    allowed = np.isfinite(values).all(0)
    values[:, ~allowed] = 0
    truth = (labels[..., None] == np.arange(classes)) & allowed
    counts = truth.sum(0)  # N, (A, C)
    present = counts > 0
    fitted = present & (present.sum(1, keepdims=True) > 1)
    balance = np.where(fitted, 1 / np.maximum(counts, 1), 0) / np.maximum(fitted.sum(1, keepdims=True), 1)
    worth = (truth * balance).sum(-1)  # v, (n, A)
    effective = 1 / np.maximum((worth**2).sum(0), 1e-12)
    ridge = 1 / (DEVIATION**2 * effective)[:, None]
    known = allowed & (present | ~present.any(1, keepdims=True))  # (n, A, C)
    floor = np.where(known | ~known.any(-1, keepdims=True), 0.0, -np.inf)
    rest = (truth / (counts + 2)).sum(-1, keepdims=True) / np.maximum(known.sum(-1, keepdims=True) - 1, 1)
    targets = np.where(truth, 1 - 1 / (counts + 2), np.where(known, rest, 0))

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, biases = parameters[:kinds], parameters[kinds:].reshape(attributes, classes)
        logits = np.tensordot(weights, values, 1) + biases + floor
        logits -= logits.max(-1, keepdims=True)
        exponents = np.exp(logits)
        sums = exponents.sum(-1, keepdims=True)
        likelihood = (targets * np.where(targets > 0, logits - np.log(sums), 0)).sum(-1)
        slope = (exponents / sums - targets) * worth[..., None]
        by_weight = np.tensordot(values, slope, 3)
        by_bias = np.where(fitted, slope.sum(0) + ridge * biases, 0)
        loss = (ridge * biases**2).sum() / 2 - (worth * likelihood).sum()
        return loss, np.concatenate([by_weight, by_bias.ravel()])

    start = np.concatenate([np.ones(kinds), np.zeros(attributes * classes)])
    bounds = [(LEAST_WEIGHT, None)] * kinds + [(None, None)] * (attributes * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    biases = found.x[kinds:].reshape(attributes, classes).astype(np.float32)
    return Calibration(found.x[:kinds], biases, float(found.fun))
