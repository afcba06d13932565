"""Mining from random pools of candidates."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.quintuplets.ordered import NONE, Ordered


@dataclass(frozen=True)
class Pools:
    """How many candidates each search has; None: all, which is exact and draws nothing.

    Attributes:
        positives: for p+, and for p- and p-- together.
        impostors: for n.
    """

    positives: int | None
    impostors: int | None

    @property
    def draws(self) -> int:
        """Numbers that are drawn for an anchor."""
        return 2 * (self.positives or 0) + (self.impostors or 0)

    def skip(self, generator: np.random.Generator, anchors: int) -> None:
        """Let a generator pass over the draws of so many anchors."""
        generator.bit_generator.advance(self.draws * anchors)  # type: ignore[attr-defined]

    def generator(self, first: np.random.Generator, anchors: int) -> np.random.Generator:
        """A copy of a generator as it will be after so many anchors: pools are the same in any order, anywhere."""
        copy = deepcopy(first)
        self.skip(copy, anchors)
        return copy


def pooled_own(
    ordered: Ordered, anchors: NDArray[np.int64], pool: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """p+ from a pool of the own cluster, p- and p-- from one pool of the class outside it; places, as the anchors'."""
    device = ordered.features.device
    place = torch.from_numpy(anchors).to(device)
    first, last = torch.from_numpy(ordered.classes[anchors]).to(device).unbind(1)
    start, stop = torch.from_numpy(ordered.clusters[anchors]).to(device).unbind(1)
    size = stop - start
    own = _draw(size - 1, pool, generator) + start[:, None]
    own += own >= place[:, None]
    outside_size = last - first - size
    outside = _draw(outside_size, pool, generator) + first[:, None]
    outside += (outside >= start[:, None]) * size[:, None]
    (farthest_own,) = _extreme(ordered, place, own, size - 1, (1,))
    nearest_outside, farthest_outside = _extreme(ordered, place, outside, outside_size, (-1, 1))
    return farthest_own, nearest_outside, farthest_outside


def pooled_other(ordered: Ordered, anchors: NDArray[np.int64], pool: int, generator: np.random.Generator) -> Tensor:
    """The nearest impostor of each anchor, from a pool of all other classes."""
    device = ordered.features.device
    place = torch.from_numpy(anchors).to(device)
    first, last = torch.from_numpy(ordered.classes[anchors]).to(device).unbind(1)
    size = len(ordered.features) - (last - first)
    other = _draw(size, pool, generator)
    other += (other >= first[:, None]) * (last - first)[:, None]
    return _extreme(ordered, place, other, size, (-1,))[0]


def _draw(sizes: Tensor, pool: int, generator: np.random.Generator) -> Tensor:
    """`pool` numbers from 0 to size - 1 for each size, with replacement; 0 for a size of 0."""
    uniform = torch.from_numpy(generator.random((len(sizes), pool))).to(sizes.device)
    sizes = sizes.clamp(min=0)[:, None]
    return (uniform * sizes).long().minimum((sizes - 1).clamp(min=0))


def _extreme(
    ordered: Ordered, anchors: Tensor, candidates: Tensor, sizes: Tensor, signs: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Each pool's farthest (+1) or nearest (-1) member, the lowest place among equals; -1 for a set of size 0."""
    candidates = candidates.clamp(max=len(ordered.features) - 1).sort(dim=1).values
    vectors = ordered.features[candidates]
    scores = (vectors * vectors).sum(-1) / 2 - torch.einsum("bd,bpd->bp", ordered.features[anchors], vectors)
    found = []
    for sign in signs:
        chosen = candidates.gather(1, (scores * sign).max(1, keepdim=True)[1])[:, 0]
        found.append(torch.where(sizes > 0, chosen, NONE))
    return tuple(found)
