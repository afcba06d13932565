"""The faiss engine: an exact index of the centroids of each class assigns, torch adds up."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial as bind

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans.assignment import add_up
from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.ordered import Assigned, OrderedBlocks
from lmle_core.kmeans.source import BLOCK, Rows
from lmle_core.threads import in_threads

type Indexes = dict[tuple[int, int], tuple[NDArray[np.int64], "faiss.IndexFlatL2"]]


class FaissBlocks(OrderedBlocks):
    """Blocks on the CPU through `IndexFlatL2`; the result is the torch engine's up to rows midway between centroids.

    Args:
        source: the rows.
        block: rows of a block.
    """

    def __init__(self, source: Rows, *, block: int = BLOCK) -> None:
        super().__init__(source, block)

    def _each(self, centroids: Centroids) -> Iterator[Assigned]:
        one = bind(self._one, k=centroids.values.shape[1], indexes=_indexes(centroids))
        numbers = range(len(self._ranges))
        yield from self._in_spans(in_threads(one, numbers, self.device, initialise=_single_thread))

    def _one(self, number: int, k: int, indexes: Indexes) -> Assigned:
        lo, hi = self._ranges[number]
        features = np.ascontiguousarray(self._source.features(lo, hi))
        labels = self._source.labels[lo:hi]
        slots = np.empty(labels.shape, np.int32)
        inertia = np.zeros(labels.shape[1])
        for (attribute, label), (owned, index) in indexes.items():
            rows = np.flatnonzero(labels[:, attribute] == label)
            group = attribute if features.shape[1] > 1 else 0
            distances, nearest = index.search(np.ascontiguousarray(features[rows, group]), 1)
            slots[rows, attribute] = owned[nearest[:, 0]]
            inertia[attribute] += distances.sum(dtype=np.float64)
        sums = add_up(torch.tensor(features), torch.from_numpy(slots).T, k).double().numpy()
        counts = np.stack([np.bincount(column, minlength=k) for column in slots.T])
        return Partial(sums, counts, inertia), slots


@contextmanager
def one_faiss_thread() -> Iterator[None]:
    """Searches of a few centroids gain nothing from faiss's threads, and wait for each other on a busy machine."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _single_thread() -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def _indexes(centroids: Centroids) -> Indexes:
    """For each attribute and class that has slots: the slots, and an index of their centroids."""
    found: Indexes = {}
    for attribute, classes in enumerate(centroids.classes):
        for label in np.unique(classes[classes >= 0]):
            owned = np.flatnonzero(classes == label)
            index = faiss.IndexFlatL2(centroids.values.shape[2])
            index.add(np.ascontiguousarray(centroids.values[attribute, owned]))
            found[attribute, int(label)] = owned, index
    return found
