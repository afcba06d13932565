"""How near and how far each class's centroids are to each query, for all attributes in one batched product."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class ClassExtremes:
    """Centroids by attribute and class, each class's filled up to as many as the largest has.

    Args:
        centroids: float32 (T, D), one attribute after the other.
        classes: int8 (T,).
        offsets: int64 (A + 1,), attribute a has the rows offsets[a] to offsets[a + 1].
        n_classes: C.
    """

    def __init__(
        self,
        centroids: NDArray[np.float32],
        classes: NDArray[np.int8],
        offsets: NDArray[np.int64],
        n_classes: int,
    ) -> None:
        attributes = len(offsets) - 1
        group = np.repeat(np.arange(attributes), np.diff(offsets)) * n_classes + classes
        order = np.argsort(group, kind="stable")
        counts = np.bincount(group, minlength=attributes * n_classes)
        slot = np.arange(len(order)) - np.repeat(counts.cumsum() - counts, counts)
        width = int(counts.max())
        negative = np.zeros((attributes * n_classes, width, centroids.shape[1]), np.float32)
        half = np.full((attributes * n_classes, width), np.inf, np.float32)
        negative[group[order], slot] = -centroids[order]
        half[group[order], slot] = (centroids[order] ** 2).sum(1) / 2
        self._shape = attributes, n_classes, width
        self._negative = torch.from_numpy(negative).view(attributes, n_classes * width, -1)
        self._half = torch.from_numpy(half).view(attributes, n_classes * width, 1)
        self._empty = torch.isinf(self._half).view(attributes, n_classes, width, 1)
        self._full = not bool(self._empty.any())

    def __call__(self, queries: Tensor, neighbours: Sequence[int], *, squared: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """For each k: the least and the greatest distance of each query to each class's centroids.

        Args:
            queries: float32 (b, G, D), G = A or 1, on the CPU.
            neighbours: each k: the number of nearest centroids of an attribute that count; 0: all.
            squared: squared distances.

        Yields:
            Nearest and farthest, float32 (A, C, b); inf and -inf where none of the class counts.
        """
        attributes, n_classes, width = self._shape
        # (D² - |q|²) / 2, with the queries last: reductions over centroids are then vectorised.
        scores = torch.bmm(self._negative, queries.permute(1, 2, 0).expand(attributes, -1, -1)).add_(self._half)
        squares = queries.square().sum(-1).T[:, None]
        by_class = scores.view(attributes, n_classes, width, -1)
        nearest = by_class.amin(2)
        rising = np.sort(scores.numpy(), axis=1) if any(neighbours) else None
        for k in neighbours:
            near, held = nearest, by_class
            if rising is not None and 0 < k < rising.shape[1]:
                reach = torch.from_numpy(rising[:, k - 1 : k]).clamp(max=torch.finfo().max)
                near = near.masked_fill(near > reach, torch.inf)
                held = held.masked_fill(held > reach[:, :, None], -torch.inf)
            elif not self._full:
                held = held.masked_fill(self._empty, -torch.inf)
            yield _distance(near, squares, squared), _distance(held.amax(2), squares, squared)


def _distance(scores: Tensor, squares: Tensor, squared: bool) -> Tensor:
    distances = (2 * scores).add_(squares)
    absent = distances == -torch.inf
    distances.clamp_(min=0)
    return (distances if squared else distances.sqrt_()).masked_fill_(absent, -torch.inf)
