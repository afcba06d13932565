"""Exact mining: every distance once, for the searches of both its ends, reduced block by block."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import max_pool2d

from lmle_core.quintuplets.best import WHOLE, Best, Share
from lmle_core.quintuplets.ordered import Ordered, run_bounds

FARTHEST_OWN, NEAREST_OUTSIDE, FARTHEST_OUTSIDE, IMPOSTOR = range(4)


def exact(ordered: Ordered, anchors: NDArray[np.int64] | None, block: int, share: Share = WHOLE) -> Best:
    """p+, p-, p-- and n of each anchor.

    A block of anchors lies in one cluster, and its candidates in ranges of places that are candidates for the same
    searches, so nothing is masked. With all rows as anchors a block meets only the rows from its own on: each distance
    serves the anchor and, read along the other axis, the candidate.

    Args:
        ordered: the rows.
        anchors: places (Q,); None: all, in their order.
        block: distances at a time, as the side of a square.
        share: of the blocks of anchors.

    Returns:
        The best that the share's blocks have seen; `Best.merge` makes those of all shares the best of all, bit by bit.

    Corner cases: ties go to the lowest place; an anchor is no candidate for its own p+.
    """
    rows = ordered.features
    half = (rows * rows).sum(1, keepdim=True) / 2
    one = torch.ones_like(half)
    left, right = torch.cat([rows, -half, -one], 1), torch.cat([rows, one, half], 1).T.contiguous()  # product: -D²/2
    everyone = anchors is None
    places = np.arange(len(rows)) if anchors is None else np.sort(anchors)
    own = torch.from_numpy(places).to(rows.device)
    if not everyone:
        left = left[own]
    best = Best.none(len(places), rows.device)
    memory = rows.new_empty(block * block)
    for lo, hi in share.of(_blocks(ordered.clusters[places], block)):
        step = block * block // (hi - lo)
        for searches, first, last in _ranges(ordered, int(places[lo])):
            start = max(first, lo) if everyone else first
            for low in range(start, last, step):
                high = min(low + step, last)
                closeness = memory[: (hi - lo) * (high - low)].view(hi - lo, high - low)
                torch.mm(left[lo:hi], right[:, low:high], out=closeness)
                for search in searches:
                    if search in {FARTHEST_OWN, FARTHEST_OUTSIDE}:
                        closeness.neg_()
                    if search == FARTHEST_OWN:
                        _bar(closeness, own[lo:hi] - low)
                    best.see(search, lo, hi, low, *_greatest_of_rows(closeness))
                    if everyone:
                        best.see(search, low, high, lo, *_greatest_of_columns(closeness))
    return best if anchors is None else best.of(np.searchsorted(places, anchors))


def _blocks(clusters: NDArray[np.int64], block: int) -> Iterator[tuple[int, int]]:
    """Up to `block` anchors of one cluster at a time, about as many in each of a cluster's blocks."""
    for first, last in pairwise(run_bounds(clusters[:, 0]).tolist()):
        parts = -(-(last - first) // block)
        bounds = np.linspace(first, last, parts + 1).astype(int).tolist()
        yield from pairwise(bounds)


def _ranges(ordered: Ordered, place: int) -> list[tuple[tuple[int, ...], int, int]]:
    """All places, in ranges that are candidates for the same searches of the anchor at `place`."""
    (first, last), (lo, hi) = ordered.classes[place].tolist(), ordered.clusters[place].tolist()
    outside = (NEAREST_OUTSIDE, FARTHEST_OUTSIDE)
    return [
        ((IMPOSTOR,), 0, first),
        (outside, first, lo),
        ((FARTHEST_OWN,), lo, hi),
        (outside, hi, last),
        ((IMPOSTOR,), last, len(ordered.features)),
    ]


def _bar(scores: Tensor, column: Tensor) -> None:
    """Set each row's `column` to -inf, where it is one of the columns."""
    inside = (column >= 0) & (column < scores.shape[1])
    column = column.clamp(0, scores.shape[1] - 1)[:, None]
    scores.scatter_(1, column, scores.gather(1, column).masked_fill(inside[:, None], -torch.inf))


def _greatest_of_rows(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Value and first column of each row's greatest."""
    if scores.is_cuda:
        return torch.max(scores, 1)
    index = torch.from_numpy(scores.numpy().argmax(1))  # vectorised, as torch's own is not
    return scores.gather(1, index[:, None])[:, 0], index


def _greatest_of_columns(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Value and first row of each column's greatest."""
    if scores.is_cuda:
        return torch.max(scores, 0)
    rows, columns = scores.shape
    image = scores.view(1, rows, 1, columns).permute(0, 3, 1, 2)  # columns as channels: pooling is vectorised over them
    value, index = max_pool2d(image, (rows, 1), return_indices=True)
    return value.view(columns), index.view(columns)
