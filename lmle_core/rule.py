"""The decision rule: cluster-wise large-margin k nearest neighbours."""

from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DIAMETER = 2.0
"""R, the largest distance between two points of the unit ball."""
SLACK = 1e-3


@overload
def large_margin_rule(
    distances: Tensor, classes: Tensor, n_classes: int, *, squared: bool = False
) -> tuple[Tensor, Tensor, Tensor]: ...
@overload
def large_margin_rule(
    distances: NDArray[np.floating], classes: NDArray[np.integer], n_classes: int, *, squared: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]: ...
def large_margin_rule(
    distances: Tensor | NDArray[np.floating],
    classes: Tensor | NDArray[np.integer],
    n_classes: int,
    *,
    squared: bool = False,
) -> tuple[Tensor, Tensor, Tensor] | tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Class of each query from its nearest centroids phi: the one with the largest margin to all others.

        score_c = min over phi of D to centroids not of c - max over phi of D to centroids of c
        y = argmax_c score_c

    For two classes: 1 iff min_1 + max_1 < min_0 + max_0. For more: the class of the smallest per-class minimum is
    judged by the second smallest, all others by the smallest.

    Args:
        distances: to the centroids in phi, floating, shape (..., k); at most R = 2, or R = 4 if squared.
        classes: of these centroids, integer, shape (..., k); -1: no centroid, left out.
        n_classes: C.
        squared: whether the distances are.

    Returns:
        labels int8 (...), margins float32 (...): best score less second best, at least 0; scores float32 (..., C).
        Arrays of the kind given, on the same device.

    Raises:
        ValueError: distances over R, classes outside -1..C-1, a query without centroids.

    Source: Huang et al., Learning Deep Representation for Imbalanced Classification, CVPR 2016, section 3.4, eq. 6.

    Corner cases: a class that phi lacks scores -2R and so loses to every other; where phi has one class only, that
    class scores R. Both bounds are finite, so the margin is: up to 3R for a lone class. Ties go to the lowest class.
    """
    if isinstance(distances, Tensor):
        assert isinstance(classes, Tensor)
        return _rule(distances, classes, n_classes, squared)
    labels, margins, scores = _rule(torch.from_numpy(distances), torch.as_tensor(classes), n_classes, squared)
    return labels.numpy(), margins.numpy(), scores.numpy()


def _rule(distances: Tensor, classes: Tensor, n_classes: int, squared: bool) -> tuple[Tensor, Tensor, Tensor]:
    largest = DIAMETER**2 if squared else DIAMETER
    _check(distances, classes, n_classes, largest)
    nearest, farthest = [], []
    for label in range(n_classes):
        own = classes == label
        nearest.append(distances.masked_fill(~own, torch.inf).amin(-1))
        farthest.append(distances.masked_fill(~own, -torch.inf).amax(-1))
    # float64: the differences of float32 distances are exact, and so are ties
    near, far = torch.stack(nearest, -1).double(), torch.stack(farthest, -1).double()
    present = torch.isfinite(near)
    scores = torch.empty_like(near)
    for label in range(n_classes):
        others = [other for other in range(n_classes) if other != label]
        rival = near[..., others].amin(-1) if others else torch.full_like(near[..., 0], torch.inf)
        score = torch.where(torch.isfinite(rival), rival - far[..., label], largest)
        scores[..., label] = torch.where(present[..., label], score, -2 * largest)
    labels = scores.argmax(-1)
    if n_classes == 1:
        margins = scores[..., 0]
    else:
        best_two = scores.topk(2, dim=-1).values
        margins = best_two[..., 0] - best_two[..., 1]
    return labels.to(torch.int8), margins.float(), scores.float()


def _check(distances: Tensor, classes: Tensor, n_classes: int, largest: float) -> None:
    if distances.shape != classes.shape or distances.ndim < 1 or distances.shape[-1] < 1:
        raise ValueError(
            f"expected distances and classes (..., k), found {tuple(distances.shape)}, {tuple(classes.shape)}"
        )
    if distances.numel() == 0:
        return
    if classes.min() < -1 or classes.max() >= n_classes:
        raise ValueError(f"classes: expected -1 to {n_classes - 1}, found {classes.min()} to {classes.max()}")
    if not (classes >= 0).any(-1).all():
        raise ValueError("classes: a query has no centroid at all")
    held = distances.masked_fill(classes < 0, 0)
    if not (held <= largest * (1 + SLACK)).all():  # also for NaN
        raise ValueError(
            f"distances: expected at most {largest:g}, found {held.max():g}: are both sides on the unit sphere, "
            "and is `squared` right?"
        )
