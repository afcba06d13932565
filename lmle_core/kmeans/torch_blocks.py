"""The torch engine: blocks of an array, a memory map or an artefact, on a CPU or a GPU."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial as bind

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.kmeans.assignment import Prepared, assign_block, prepare
from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.source import BLOCK, Rows, ranges

type Assigned = tuple[Partial, NDArray[np.int32]]


class TorchBlocks:
    """Blocks on one torch device.

    A CPU computes several blocks at a time, each with a single thread, so that no bit depends on the thread count. A
    GPU computes them one after another and keeps those that fit.

    Args:
        source: the rows.
        device: 'cpu', 'cuda', 'cuda:N'.
        threads: blocks at a time on a CPU; None: torch's thread count.
        block: rows of a block; the result depends on it.
        hold: bytes of blocks to keep on the device between passes; None: half of a GPU's free memory, nothing on a CPU.
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
        self._source = source
        self._device = torch.device(device)
        self._threads = (threads or torch.get_num_threads()) if self._device.type == "cpu" else 1
        self._ranges = list(ranges(len(source.labels), block))
        if hold is None:
            hold = torch.cuda.mem_get_info(self._device)[0] // 2 if self._device.type == "cuda" else 0
        self._hold = hold
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def source(self) -> Rows:
        """The rows."""
        return self._source

    def assign(self, centroids: Centroids) -> Partial:
        """Every row to the nearest slot of its class."""
        return _total(partial for partial, _ in self._each(centroids))

    def assign_rows(self, centroids: Centroids) -> Assigned:
        """The same, with the slot of each row, int32 (n, A)."""
        slots = np.empty(self._source.labels.shape, np.int32)

        def fill() -> Iterator[Partial]:
            for (lo, hi), (partial, block) in zip(self._ranges, self._each(centroids), strict=True):
                slots[lo:hi] = block
                yield partial

        return _total(fill()), slots

    def _each(self, centroids: Centroids) -> Iterator[Assigned]:
        one = bind(self._one, centroids=centroids, prepared=prepare(centroids, self._device))
        numbers = range(len(self._ranges))
        return map(one, numbers) if self._device.type != "cpu" else _in_threads(one, numbers, self._threads)

    def _one(self, number: int, centroids: Centroids, prepared: Prepared) -> Assigned:
        features, labels = self._block(number)
        return assign_block(features, labels, centroids, prepared)

    def _block(self, number: int) -> tuple[Tensor, Tensor]:
        if number in self._held:
            return self._held[number]
        lo, hi = self._ranges[number]
        features = np.ascontiguousarray(self._source.features(lo, hi))
        if not features.flags.writeable and self._device.type == "cpu":  # torch has no read-only tensors
            features = features.copy()
        labels = np.ascontiguousarray(self._source.labels[lo:hi])
        block = torch.from_numpy(features).to(self._device), torch.from_numpy(labels).to(self._device)
        if features.nbytes <= self._hold:
            self._hold -= features.nbytes
            self._held[number] = block
        return block


def _in_threads(one: Callable[[int], Assigned], numbers: range, threads: int) -> Iterator[Assigned]:
    """Results in order, a few blocks ahead; torch is single-threaded within each block."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            ahead = [pool.submit(one, number) for number in numbers[: threads + 1]]
            for number in numbers:
                yield ahead.pop(0).result()
                if number + threads + 1 < len(numbers):
                    ahead.append(pool.submit(one, number + threads + 1))
    finally:
        torch.set_num_threads(before)


def _total(partials: Iterator[Partial]) -> Partial:
    total = next(partials)
    for partial in partials:
        total += partial
    return total
