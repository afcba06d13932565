"""K-means over Dask: blocks live on workers, are assigned where they lie, and are added up in their order here."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from distributed import Client, Future
from numpy.typing import NDArray

from lmle_core.kmeans.assignment import assign_block, prepare_centroids
from lmle_core.kmeans.centroids import Centroids
from lmle_core.kmeans.ordered import Assigned, OrderedBlocks
from lmle_core.kmeans.source import BLOCK, Rows, StoredRows
from tasks.elsewhere import local

type Block = tuple[NDArray[np.float32], NDArray[np.int8]]


class DaskBlocks(OrderedBlocks):
    """Blocks on the workers of a Dask cluster.

    A block is a task that reads its rows, and the centroids of a pass are a task of their own: Dask repeats both where
    a worker is lost, and the result is the same. It is also the same, to the bit, as the torch engine's on a CPU.

    Args:
        source: the rows; a `StoredRows` sends no features, and each worker finds its path (`tasks.elsewhere.local`).
        client: of the cluster.
        block: rows of a block; the result depends on it.
    """

    def __init__(self, source: Rows, client: Client, *, block: int = BLOCK) -> None:
        super().__init__(source, block)
        self._client = client
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

    def _each(self, centroids: Centroids) -> Iterator[Assigned]:
        shared: Future = self._client.submit(_same, centroids, pure=False)
        pending = [self._client.submit(_assign, block, shared, pure=False) for block in self._blocks]
        while pending:
            yield pending.pop(0).result()


def _load(part: Rows) -> Block:
    if isinstance(part, StoredRows):
        part = replace(part, path=str(local(part.path)))
    return part.features(0, len(part.labels)), part.labels


def _same(centroids: Centroids) -> Centroids:
    return centroids


def _assign(block: Block, centroids: Centroids) -> Assigned:
    torch.set_num_threads(1)  # as the torch engine does: no bit depends on the threads
    features, labels = (torch.tensor(array) for array in block)
    total, slots = assign_block(features, labels, prepare_centroids(centroids, torch.device("cpu")))
    return total.partial(), slots.numpy()
