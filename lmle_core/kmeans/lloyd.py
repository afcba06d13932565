"""Lloyd's loop: assign every row, move every centroid, until the inertia stands still. Written once, for any engine."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmle_core.kmeans.centroids import Centroids, Partial, update
from lmle_core.kmeans.source import Rows


class Blocks(Protocol):
    """An engine: it holds the rows in blocks, and assigns them all to given centroids.

    Partials of the blocks are added in the blocks' order, whichever engine computes them, where, and when.
    """

    @property
    def source(self) -> Rows:
        """The rows."""

    def assign(self, centroids: Centroids) -> Partial:
        """Every row to the nearest slot of its class."""

    def assign_rows(self, centroids: Centroids) -> tuple[Partial, NDArray[np.int32]]:
        """The same, with the slot of each row, int32 (n, A)."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Where Lloyd's loop ended.

    Attributes:
        centroids: the last ones; slots without rows are unused.
        slots: int32 (n, A), of each row under these centroids.
        counts: int64 (A, K).
        inertia: float64 (A,), under these centroids.
        history: summed inertia before each update; it does not increase.
    """

    centroids: Centroids
    slots: NDArray[np.int32]
    counts: NDArray[np.int64]
    inertia: NDArray[np.float64]
    history: tuple[float, ...]


def lloyd(blocks: Blocks, centroids: Centroids, iterations: int, tolerance: float) -> Fit:
    """K-means from given centroids.

    Args:
        blocks: the engine with its rows.
        centroids: where to start; each class that a row has under an attribute needs a slot there.
        iterations: most updates.
        tolerance: stop once an update lowers the summed inertia by no more than this share.

    Raises:
        ValueError: features that are not finite.

    Source: Lloyd, Least squares quantization in PCM, IEEE Trans. Inf. Theory 28 (1982).

    Corner cases: a slot that loses all its rows stays unused; it is not moved elsewhere.
    """
    history: list[float] = []
    for _ in range(iterations):
        partial = blocks.assign(centroids)
        _check_finite(partial)
        history.append(float(partial.inertia.sum()))
        centroids = update(centroids, partial)
        if len(history) > 1 and history[-2] - history[-1] <= tolerance * history[-2]:
            break
    partial, slots = blocks.assign_rows(centroids)
    _check_finite(partial)
    unused = Centroids(centroids.values, np.where(partial.counts > 0, centroids.classes, -1).astype(np.int8))
    return Fit(unused, slots, partial.counts, partial.inertia, tuple(history))


def _check_finite(partial: Partial) -> None:
    bad = np.flatnonzero(~np.isfinite(partial.inertia))
    if len(bad):
        raise ValueError(f"k-means: the features of attribute {bad[0]} are not finite ({len(bad)} attributes so)")
