"""The decision rule: cluster-wise large-margin k nearest neighbours."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

DIAMETER = 2.0
"""R, the largest distance between two points of the unit ball."""
SLACK = 1e-3


def decide(
    nearest: Sequence[Tensor], farthest: Sequence[Tensor], *, squared: bool = False
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Class of each query from its nearest centroids phi: the one with the largest margin to all others.

        score_c = min over phi of D to centroids not of c - max over phi of D to centroids of c
        y = argmax_c score_c

    For two classes: 1 iff min_1 + max_1 < min_0 + max_0. For more: the class of the smallest per-class minimum is
    judged by the second smallest, all others by the smallest.

    Args:
        nearest: D to the nearest centroid of each class in phi, at most R = 2, or R = 4 if squared; one shape for all;
            inf where phi lacks the class.
        farthest: to the farthest; -inf where phi lacks the class.
        squared: whether the distances are.

    Returns:
        labels int8; margins float32, best score less second best, at least 0; scores float64 of each class; each of
        that shape.

    Raises:
        ValueError: distances over R, a query without centroids.

    Source: Huang et al., Learning Deep Representation for Imbalanced Classification, CVPR 2016, section 3.4, eq. 6.

    Corner cases: a class that phi lacks scores -2R and so loses to every other; where phi has one class only, that
    class scores R. Both bounds are finite, so the margin is: up to 3R for a lone class. Ties go to the lowest class.
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
