"""The torch engine: blocks of an array, a memory map or an artefact, on a CPU or a GPU."""

from collections.abc import Iterator
from functools import partial as bind
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.device import free_memory
from lmle_core.kmeans.assignment import Prepared, Sums, assign_block, prepare_centroids
from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.ordered import Assigned, OrderedBlocks
from lmle_core.kmeans.source import BLOCK, Rows
from lmle_core.threads import in_threads

HOLD = 2 << 30
"""Bytes; all of CelebA's training embeddings, 40 x 64 float32, are 1.7e9."""


class TorchBlocks(OrderedBlocks):
    """Blocks on one torch device.

    A CPU computes several blocks at a time, each with a single thread, so that no bit depends on the thread count. A
    GPU computes them one after another and keeps those that fit.

    Args:
        source: the rows.
        device: 'cpu', 'cuda', 'cuda:N'.
        threads: blocks at a time on a CPU; None: torch's thread count.
        block: rows of a block; the result depends on it.
        hold: bytes of blocks to keep on the device between passes; None: half of a GPU's free memory, 2 GiB on a CPU.
    """

    def __init__(
        self,
        source: Rows,
        device: str | torch.device = "cpu",
        *,
        threads: int | None = None,
        block: int = BLOCK,
        hold: int | None = None,
    ) -> None:
        super().__init__(source, block)
        self._device = torch.device(device)
        self._threads = threads or torch.get_num_threads()
        if hold is None:
            hold = free_memory(self._device) // 2 if self._device.type == "cuda" else HOLD
        self._hold = hold
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    def _each(self, centroids: Centroids) -> Iterator[tuple[Partial, Any]]:
        prepared = prepare_centroids(centroids, self._device)
        if self._device.type != "cpu":
            yield self._all(prepared)
            return
        numbers = range(len(self._ranges))
        yield from self._in_spans(in_threads(bind(self._one, prepared), numbers, self._device, threads=self._threads))

    def _one(self, prepared: Prepared, number: int) -> Assigned:
        total, slots = assign_block(*self._block(number), prepared)
        return total.partial(), slots.numpy()

    def _all(self, prepared: Prepared) -> tuple[Partial, list[Tensor]]:
        """All blocks at once: added up on the device, in their order; the slots stay there."""
        found = []

        def one(number: int) -> Sums:
            total, slots = assign_block(*self._block(number), prepared)
            found.append(slots)
            return total

        total = reduce(Sums.add, (reduce(Sums.add, map(one, span)) for span in self._spans))
        return total.partial(), found

    def _fetch(self, found: list[Any]) -> list[NDArray[np.int32]]:
        if self._device.type == "cpu":
            return found
        return [slots.cpu().numpy() for blocks in found for slots in blocks]

    def _block(self, number: int) -> tuple[Tensor, Tensor]:
        if number in self._held:
            return self._held[number]
        lo, hi = self._ranges[number]
        features = np.ascontiguousarray(self._source.features(lo, hi))
        if not features.flags.writeable:  # torch has no read-only tensors
            features = features.copy()
        block = torch.from_numpy(features).to(self._device), torch.tensor(self._source.labels[lo:hi]).to(self._device)
        if features.nbytes <= self._hold:
            self._hold -= features.nbytes
            self._held[number] = block
        return block
