"""The faiss engine: an exact index of the centroids of each class assigns, numpy adds up."""

from collections.abc import Iterator
from functools import reduce
from operator import add

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans.assignment import add_up
from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.source import BLOCK, Rows, ranges


class FaissBlocks:
    """Blocks on the CPU through `IndexFlatL2`; the result is the torch engine's up to rows midway between centroids.

    Args:
        source: the rows.
        block: rows of a block.
    """

    def __init__(self, source: Rows, *, block: int = BLOCK) -> None:
        self._source = source
        self._ranges = list(ranges(len(source.labels), block))

    @property
    def source(self) -> Rows:
        """The rows."""
        return self._source

    def assign(self, centroids: Centroids) -> Partial:
        """Every row to the nearest slot of its class."""
        return reduce(add, (partial for _, partial, _ in self._each(centroids)))

    def assign_rows(self, centroids: Centroids) -> tuple[Partial, NDArray[np.int32]]:
        """The same, with the slot of each row, int32 (n, A)."""
        slots = np.empty(self._source.labels.shape, np.int32)
        partials = []
        for lo, partial, block in self._each(centroids):
            slots[lo : lo + len(block)] = block
            partials.append(partial)
        return reduce(add, partials), slots

    def _each(self, centroids: Centroids) -> Iterator[tuple[int, Partial, NDArray[np.int32]]]:
        indexes = _indexes(centroids)
        for lo, hi in self._ranges:
            features = np.ascontiguousarray(self._source.features(lo, hi))
            labels = self._source.labels[lo:hi]
            slots = np.empty(labels.shape, np.int64)
            for (attribute, label), (owned, index) in indexes.items():
                rows = np.flatnonzero(labels[:, attribute] == label)
                group = attribute if features.shape[1] > 1 else 0
                _, nearest = index.search(np.ascontiguousarray(features[rows, group]), 1)
                slots[rows, attribute] = owned[nearest[:, 0]]
            partial = add_up(torch.tensor(features), torch.from_numpy(slots).T, centroids)
            yield lo, partial, slots.astype(np.int32)


def _indexes(centroids: Centroids) -> dict[tuple[int, int], tuple[NDArray[np.int64], "faiss.IndexFlatL2"]]:
    """For each attribute and class that has slots: the slots, and an index of their centroids."""
    found = {}
    for attribute, classes in enumerate(centroids.classes):
        for label in np.unique(classes[classes >= 0]):
            owned = np.flatnonzero(classes == label)
            index = faiss.IndexFlatL2(centroids.values.shape[2])
            index.add(np.ascontiguousarray(centroids.values[attribute, owned]))
            found[attribute, int(label)] = owned, index
    return found
