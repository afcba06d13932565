"""K-means over Dask: blocks live on workers, are assigned where they lie, and are added up in their order."""

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import torch
from distributed import Client, Future
from numpy.typing import NDArray

from lmle_core.device import choose_device
from lmle_core.kmeans.assignment import assign_block, prepare_centroids
from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.ordered import Assigned, OrderedBlocks
from lmle_core.kmeans.source import BLOCK, Rows, StoredRows
from tasks.elsewhere import local

type Block = tuple[NDArray[np.float32], NDArray[np.int8]]


class DaskBlocks(OrderedBlocks):
    """Blocks on the workers of a Dask cluster.

    A block is a task that reads its rows, and the centroids of a pass are a task of their own: Dask repeats both where
    a worker is lost, and the result is the same. It is also the same, to the bit, as the torch engine's on that device.
    A pass sends the centroids to the workers and a sum of each span of blocks back; the slots follow the last pass.

    Args:
        source: the rows; a `StoredRows` sends no features, and each worker finds its path (`tasks.elsewhere.local`).
        client: of the cluster.
        kind: where the workers compute, 'cpu' or 'cuda'.
        block: rows of a block; the result depends on it.
    """

    def __init__(self, source: Rows, client: Client, kind: str = "cpu", *, block: int = BLOCK) -> None:
        super().__init__(source, block)
        self._client, self._kind = client, kind
        # Not restricted to workers: Dask forgets such a task where, for a moment, no worker runs.
        self._blocks = client.map(_load, [source.part(lo, hi) for lo, hi in self._ranges], pure=False)

    def _each(self, centroids: Centroids) -> Iterator[tuple[Partial, list[Future]]]:
        shared: Future = self._client.submit(_same, centroids, pure=False)
        pending = []
        for span in self._spans:
            assigned = [self._client.submit(_assign, self._blocks[n], shared, self._kind, pure=False) for n in span]
            pending.append((self._client.submit(_sum, assigned, pure=False), assigned))
        while pending:
            total, assigned = pending.pop(0)
            yield total.result(), assigned

    def _fetch(self, found: list[list[Future]]) -> list[NDArray[np.int32]]:
        return self._client.gather(self._client.map(_slots, [future for span in found for future in span], pure=False))


def _load(part: Rows) -> Block:
    if isinstance(part, StoredRows):
        part = replace(part, path=str(local(part.path)))
    return part.features(0, len(part.labels)), part.labels


def _same(centroids: Centroids) -> Centroids:
    return centroids


def _assign(block: Block, centroids: Centroids, kind: str) -> Assigned:
    torch.set_num_threads(1)  # as the torch engine does: no bit depends on the threads
    device = choose_device(kind)
    features, labels = (torch.tensor(array).to(device) for array in block)
    total, slots = assign_block(features, labels, prepare_centroids(centroids, device))
    return total.partial(), slots.cpu().numpy()


def _sum(assigned: list[Assigned]) -> Partial:
    return reduce(add, (partial for partial, _ in assigned))


def _slots(assigned: Assigned) -> NDArray[np.int32]:
    return assigned[1]
