"""What all engines share: a pass over blocks whose results are added in the blocks' order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.source import Rows, ranges

type Assigned = tuple[Partial, NDArray[np.int32]]


class OrderedBlocks(ABC):
    """An engine that can assign its blocks one by one.

    Args:
        source: the rows.
        block: rows of a block; the result depends on it.
    """

    def __init__(self, source: Rows, block: int) -> None:
        self._source = source
        self._ranges = list(ranges(len(source.labels), block))

    @property
    def source(self) -> Rows:
        """The rows."""
        return self._source

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device("cpu")

    def assign(self, centroids: Centroids) -> Assigned:
        """Every row to the nearest slot of its class; the slot of each row, int32 (n, A)."""
        partials, slots = zip(*self._each(centroids), strict=True)
        return reduce(add, partials), np.concatenate(slots)

    @abstractmethod
    def _each(self, centroids: Centroids) -> Iterator[Assigned]:
        """Partial and slots of each block, in order."""


def in_threads[T](one: Callable[[int], T], count: int, threads: int, single_thread: Callable[[], None]) -> Iterator[T]:
    """Results for 0 to count - 1, in order, computed a few ahead.

    Args:
        one: computes a result.
        count: how many.
        threads: at a time.
        single_thread: called in each thread first; keeps the libraries to that thread, so that no bit depends on how
            many there are.
    """
    with ThreadPoolExecutor(threads, initializer=single_thread) as pool:
        ahead = [pool.submit(one, number) for number in range(min(threads + 1, count))]
        for number in range(count):
            yield ahead.pop(0).result()
            if number + threads + 1 < count:
                ahead.append(pool.submit(one, number + threads + 1))
