"""What mining has found so far: the best candidate of each anchor in each search, by all blocks or a share of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.quintuplets.ordered import NONE


@dataclass(frozen=True)
class Share:
    """Every `parts`-th block of anchors, from `number` on: shares of blocks whose cost falls steadily cost the same."""

    number: int
    parts: int

    def of[T](self, blocks: Iterable[T]) -> Iterator[T]:
        """The blocks that are in the share."""
        return islice(blocks, self.number, None, self.parts)


WHOLE = Share(0, 1)


@dataclass(frozen=True, eq=False)
class Best:
    """The best candidate of each anchor in each search.

    Attributes:
        value: float32 (4, Q), how good it is; -inf: none so far.
        place: int64 (4, Q), where it is; -1: none so far.
    """

    value: Tensor
    place: Tensor

    @classmethod
    def none(cls, anchors: int, device: torch.device) -> "Best":
        """Nothing found for so many anchors."""
        return cls(torch.full((4, anchors), -torch.inf, device=device), torch.full((4, anchors), NONE, device=device))

    def see(self, search: int, lo: int, hi: int, offset: int, value: Tensor, index: Tensor) -> None:
        """The anchors lo to hi have a candidate at `offset + index`; an equal one that comes later changes nothing.

        Candidates of an anchor are to be seen by rising place.
        """
        best, place = self.value[search, lo:hi], self.place[search, lo:hi]
        place.copy_(torch.where(value > best, index + offset, place))
        torch.maximum(best, value, out=best)

    def set(self, searches: slice, lo: int, place: Tensor) -> None:
        """The anchors from `lo` on have these places (s, q) in some searches, whatever else was found."""
        anchors = slice(lo, lo + place.shape[1])
        self.place[searches, anchors] = place
        self.value[searches, anchors] = torch.where(place >= 0, torch.inf, -torch.inf)

    def forget(self, searches: slice) -> None:
        """Nothing is found in some searches."""
        self.place[searches], self.value[searches] = NONE, -torch.inf

    def merge(self, other: "Best") -> "Best":
        """The better of two shares' candidates, the lower place among equals: in any order of merging the same."""
        theirs = (other.value > self.value) | ((other.value == self.value) & (other.place < self.place))
        return Best(torch.maximum(self.value, other.value), torch.where(theirs, other.place, self.place))

    def of(self, anchors: NDArray[np.int64]) -> "Best":
        """Those of some anchors, by their number (q,)."""
        chosen = torch.from_numpy(anchors).to(self.place.device)
        return Best(self.value[:, chosen], self.place[:, chosen])
