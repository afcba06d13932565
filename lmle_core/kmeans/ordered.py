"""What all engines share: a pass over blocks whose results are added in the blocks' order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
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
        slots = []

        def partials() -> Iterator[Partial]:
            for partial, found in self._each(centroids):
                slots.append(found)
                yield partial

        total = reduce(add, partials())  # as they come: the partials of all blocks would take more than the rows
        return total, np.concatenate(slots)

    @abstractmethod
    def _each(self, centroids: Centroids) -> Iterator[Assigned]:
        """Partial and slots of each block, in order."""
