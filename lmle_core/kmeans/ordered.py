"""What all engines share: a pass over blocks whose results are added in the blocks' order, span by span."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import batched, islice
from operator import add
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.source import Rows, ranges

type Assigned = tuple[Partial, NDArray[np.int32]]
type Slots = Callable[[], NDArray[np.int32]]
"""Gives the slot of each row, int32 (n, A); asked for after the last pass alone, since it may be far away."""

SPANS = 256
"""Most spans of consecutive blocks: as many sums at most leave the workers in a pass, however many rows there are."""


class OrderedBlocks(ABC):
    """An engine that can assign its blocks one by one.

    Sums are added within each span of blocks, and those of the spans after that: both in their order.

    Args:
        source: the rows.
        block: rows of a block; the result depends on it.
    """

    def __init__(self, source: Rows, block: int) -> None:
        self._source = source
        self._ranges = list(ranges(len(source.labels), block))
        self._spans = list(batched(range(len(self._ranges)), max(1, -(-len(self._ranges) // SPANS))))

    @property
    def source(self) -> Rows:
        """The rows."""
        return self._source

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device("cpu")

    def assign(self, centroids: Centroids) -> tuple[Partial, Slots]:
        """Every row to the nearest slot of its class: what the rows add up to, and the slots."""
        found: list[Any] = []
        return _sum(self._each(centroids), found), lambda: np.concatenate(self._fetch(found))

    @abstractmethod
    def _each(self, centroids: Centroids) -> Iterator[tuple[Partial, Any]]:
        """Partial of each span, in order, and its slots, or what `_fetch` gets them by."""

    def _fetch(self, found: list[Any]) -> list[NDArray[np.int32]]:
        """The slots themselves."""
        return found

    def _in_spans(self, blocks: Iterator[Assigned]) -> Iterator[Assigned]:
        """Blocks, in order, added up to spans."""
        for span in self._spans:
            slots: list[NDArray[np.int32]] = []
            yield _sum(islice(blocks, len(span)), slots), np.concatenate(slots)


def _sum(assigned: Iterable[tuple[Partial, Any]], slots: list[Any]) -> Partial:
    """The sum of partials as they come, since all of them would take more than the rows; the rest goes to `slots`."""

    def partials() -> Iterator[Partial]:
        for partial, found in assigned:
            slots.append(found)
            yield partial

    return reduce(add, partials())
