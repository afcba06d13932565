"""Centroids of all attributes, each slot owned by one class, and what a pass over the rows finds out about them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNUSED = -1


@dataclass(frozen=True, eq=False)
class Centroids:
    """K slots for each attribute.

    Attributes:
        values: float32 (A, K, D); finite, also where unused.
        classes: int8 (A, K), the class whose rows alone may go to the slot; -1: the slot is unused.
    """

    values: NDArray[np.float32]
    classes: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.dtype != np.float32:
            raise ValueError(f"centroids: expected float32 (A, K, D), found {self.values.dtype} {self.values.shape}")
        if self.classes.shape != self.values.shape[:2] or self.classes.dtype != np.int8:
            raise ValueError(
                f"centroid classes: expected int8 {self.values.shape[:2]}, "
                f"found {self.classes.dtype} {self.classes.shape}"
            )
        if not np.isfinite(self.values).all():
            attribute, slot, _ = (int(i) for i in np.argwhere(~np.isfinite(self.values))[0])
            raise ValueError(f"centroids: attribute {attribute}, slot {slot} is not finite: are the features?")


@dataclass(frozen=True, eq=False)
class Partial:
    """What a pass over some rows adds up to; partials of consecutive rows are added in their order.

    Attributes:
        sums: float64 (A, K, D), of the rows that went to each slot.
        counts: int64 (A, K), how many went there.
        inertia: float64 (A,), squared distances of the rows to their centroids.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    inertia: NDArray[np.float64]

    def __add__(self, other: "Partial") -> "Partial":
        return Partial(self.sums + other.sums, self.counts + other.counts, self.inertia + other.inertia)


def update(centroids: Centroids, partial: Partial) -> tuple[Centroids, NDArray[np.float64]]:
    """Each slot moves to the mean of its rows; a slot without rows becomes unused and stays so.

    Returns:
        The centroids, and by how much the rows' squared distances to them are less, float64 (A,): n |c - c'|² of every
        slot, since a mean is where they are least.
    """
    used = partial.counts > 0
    means = partial.sums / np.maximum(partial.counts, 1)[:, :, None]
    values = np.where(used[:, :, None], means, centroids.values).astype(np.float32)
    moved = values.astype(np.float64) - centroids.values
    fall = np.einsum("ak,akd,akd->a", partial.counts.astype(np.float64), moved, moved)
    return Centroids(values, np.where(used, centroids.classes, UNUSED).astype(np.int8)), fall
