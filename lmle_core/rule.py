"""The decision rule: cluster-wise large-margin k nearest neighbours."""

from collections.abc import Sequence
from functools import reduce
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


def decide(
    nearest: Sequence[Tensor], farthest: Sequence[Tensor], *, squared: bool = False
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The rule, given each class's least and greatest distance in phi.

    Args:
        nearest: of each class, one shape for all; inf where phi lacks the class.
        farthest: of each class; -inf where phi lacks it.
        squared: whether the distances are.

    Returns:
        labels int8, margins float32, scores float64 of each class, each of that shape.

    Raises:
        ValueError: distances over R, a query without centroids.
    """
    largest = DIAMETER**2 if squared else DIAMETER
    absent = [far == -torch.inf for far in farthest]
    if reduce(torch.logical_and, absent).any():
        raise ValueError("classes: a query has no centroid at all")
    if not all((far <= largest * (1 + SLACK)).all() for far in farthest):  # also for NaN
        raise ValueError(
            f"distances: expected at most {largest:g}, found {max(float(far.max()) for far in farthest):g}: are both "
            "sides on the unit sphere, and is `squared` right?"
        )
    # float64: the differences of float32 distances are exact, and so are ties
    near, far = [part.double() for part in nearest], [part.double() for part in farthest]
    scores = []
    for label, missing in enumerate(absent):
        others = [*near[:label], *near[label + 1 :]]
        rival = reduce(torch.minimum, others) if others else torch.full_like(near[0], torch.inf)
        score = (rival - far[label]).masked_fill_(rival == torch.inf, largest)
        scores.append(score.masked_fill_(missing, -2 * largest))
    best, second = scores[0], torch.full_like(scores[0], -torch.inf)
    labels = torch.zeros_like(best, dtype=torch.int8)
    for label, score in enumerate(scores[1:], 1):
        labels.masked_fill_(score > best, label)
        second = torch.maximum(second, torch.minimum(best, score))
        best = torch.maximum(best, score)
    margins = best - second if len(scores) > 1 else best
    return labels, margins.float(), scores


def _rule(distances: Tensor, classes: Tensor, n_classes: int, squared: bool) -> tuple[Tensor, Tensor, Tensor]:
    if distances.shape != classes.shape or distances.ndim < 1 or distances.shape[-1] < 1:
        raise ValueError(
            f"expected distances and classes (..., k), found {tuple(distances.shape)}, {tuple(classes.shape)}"
        )
    if classes.numel() and (classes.min() < -1 or classes.max() >= n_classes):
        raise ValueError(f"classes: expected -1 to {n_classes - 1}, found {classes.min()} to {classes.max()}")
    own = [classes == label for label in range(n_classes)]
    nearest = [distances.masked_fill(~mine, torch.inf).amin(-1) for mine in own]
    farthest = [distances.masked_fill(~mine, -torch.inf).amax(-1) for mine in own]
    labels, margins, scores = decide(nearest, farthest, squared=squared)
    return labels, margins, torch.stack(scores, -1).float()
