"""Lloyd's loop: assign every row, move every centroid, until the inertia stands still. Written once, for any engine."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans.centroids import Centroids, Partial, update
from lmle_core.kmeans.ordered import Slots
from lmle_core.kmeans.source import Rows


class Blocks(Protocol):
    """An engine: it holds the rows in blocks, and assigns them all to given centroids.

    Partials are added in the blocks' order, span by span, whichever engine computes them, where, and when.
    """

    @property
    def source(self) -> Rows:
        """The rows."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def assign(self, centroids: Centroids) -> tuple[Partial, Slots]:
        """Every row to the nearest slot of its class: what the rows add up to, and what gives the slots."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Where Lloyd's loop ended.

    Attributes:
        centroids: the last ones, the means of the rows in each slot; slots without rows are unused.
        slots: int32 (n, A), of each row: the nearest of the centroids before their last move.
        counts: int64 (A, K).
        inertia: float64 (A,), squared distances of the rows to the centroid of their slot.
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
        iterations: most passes over the rows, at least 1.
        tolerance: stop once the centroids' move lowers the summed inertia by no more than this share.

    Raises:
        ValueError: features that are not finite.

    Source: Lloyd, Least squares quantization in PCM, IEEE Trans. Inf. Theory 28 (1982).

    Corner cases: a slot that loses all its rows stays unused; it is not moved elsewhere.
    """
    history: list[float] = []
    while True:
        partial, slots = blocks.assign(centroids)
        _check_finite(partial)
        history.append(float(partial.inertia.sum()))
        centroids, fall = update(centroids, partial)
        if len(history) == iterations or fall.sum() <= tolerance * history[-1]:
            return Fit(centroids, slots(), partial.counts, np.maximum(partial.inertia - fall, 0), tuple(history))


def _check_finite(partial: Partial) -> None:
    bad = np.flatnonzero(~np.isfinite(partial.inertia) | ~np.isfinite(partial.sums).all((1, 2)))
    if len(bad):
        raise ValueError(f"k-means: the features of attribute {bad[0]} are not finite ({len(bad)} attributes so)")
