"""K-means over Dask: blocks live on workers, are assigned where they lie, and are added up in their order here."""

from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np
import torch
from distributed import Client, Future
from numpy.typing import NDArray

from lmle_core.kmeans.assignment import assign_block, prepare
from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.source import BLOCK, Rows, ranges

type Assigned = tuple[Partial, NDArray[np.int32]]
type Block = tuple[NDArray[np.float32], NDArray[np.int8]]


class DaskBlocks:
    """Blocks on the workers of a Dask cluster.

    A block is a task that reads its rows, and the centroids of a pass are a task of their own: Dask repeats both where
    a worker is lost, and the result is the same. It is also the same, to the bit, as the torch engine's on a CPU.

    Args:
        source: the rows; a `StoredRows` sends no features, and its path must be readable by every worker.
        client: of the cluster.
        block: rows of a block; the result depends on it.
    """

    def __init__(self, source: Rows, client: Client, *, block: int = BLOCK) -> None:
        self._client = client
        self._source = source
        self._ranges = list(ranges(len(source.labels), block))
        workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        self._blocks = [
            client.submit(
                _load,
                source.part(lo, hi),
                pure=False,
                workers=[workers[number * len(workers) // len(self._ranges)]] if workers else None,
                allow_other_workers=bool(workers),
            )
            for number, (lo, hi) in enumerate(self._ranges)
        ]

    @property
    def source(self) -> Rows:
        """The rows."""
        return self._source

    def assign(self, centroids: Centroids) -> Partial:
        """Every row to the nearest slot of its class."""
        return reduce(add, (partial for partial, _ in self._each(centroids, rows=False)))

    def assign_rows(self, centroids: Centroids) -> Assigned:
        """The same, with the slot of each row, int32 (n, A)."""
        partials, slots = zip(*self._each(centroids, rows=True), strict=True)
        return reduce(add, partials), np.concatenate(slots)

    def _each(self, centroids: Centroids, rows: bool) -> Iterator[Assigned]:
        shared: Future = self._client.submit(_same, centroids, pure=False)
        pending = [self._client.submit(_assign, block, shared, rows, pure=False) for block in self._blocks]
        while pending:
            yield pending.pop(0).result()


def _load(part: Rows) -> Block:
    return part.features(0, len(part.labels)), part.labels


def _same(centroids: Centroids) -> Centroids:
    return centroids


def _assign(block: Block, centroids: Centroids, rows: bool) -> Assigned:
    torch.set_num_threads(1)  # as the torch engine does: no bit depends on the threads
    features, labels = (torch.tensor(array) for array in block)
    partial, slots = assign_block(features, labels, centroids, prepare(centroids, torch.device("cpu")))
    return partial, slots if rows else slots[:0]
