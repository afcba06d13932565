"""Mining: the quintuplet of each anchor, each of its searches over all candidates or over a random pool of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.quintuplets.best import WHOLE, Best, Share
from lmle_core.quintuplets.exact import exact
from lmle_core.quintuplets.ordered import NONE, Ordered, named
from lmle_core.quintuplets.pools import Pools, pooled_other, pooled_own
from lmle_core.quintuplets.table import Quintuplets
from lmle_core.threads import in_threads

BLOCK = {"cpu": 768, "cuda": 8192}
"""Side of the square of distances that are computed at a time: what a core's cache holds; what fills a GPU."""
POOLED = 4096
"""Anchors whose pools are compared at a time."""
OWN_CLASS, OTHER_CLASSES = slice(0, 3), slice(3, 4)
"""The searches for p+, p- and p--, and for n."""


def mine(
    features: NDArray[np.float32] | Tensor,
    labels: NDArray[np.int8],
    assignment: NDArray[np.int32],
    rows: NDArray[np.int64],
    positives: int | None,
    impostors: int | None,
    generator: np.random.Generator,
    *,
    device: str | torch.device = "cpu",
    block: int | None = None,
    anchors: tuple[NDArray[np.integer], NDArray[np.integer]] | None = None,
) -> Quintuplets:
    """The quintuplet of each anchor under each attribute.

    Args:
        features: float32 (M, G, D) of the subset, G = A or 1.
        labels: int8 (M, A).
        assignment: int32 (M, A), cluster of each row; a cluster lies within one class.
        rows: int64 (M,), what the table calls each row.
        positives: candidates for p+, and for p- and p-- together; None: all, which is exact.
        impostors: candidates for n; None: all.
        generator: draws the pools; of a kind that can skip draws, as NumPy's default.
        device: where the distances are computed.
        block: exact searches compute a square of this side of distances at a time; memory grows with it and with M,
            not with M². None: what suits the device.
        anchors: (attributes, positions in the subset), each (Q,), to mine these alone, in this order. None: all rows
            under all attributes, by attribute, then by row.

    Returns:
        One quintuplet an anchor.

    Corner cases: an anchor is no candidate for its own p+, so p+ is -1 for the only member of a cluster; p- and p--
    are -1 where the class is a single cluster, n where no other class occurs. Ties go to the lowest class, then
    cluster, then position. Pools are drawn with replacement.
    """
    _check(features, labels, assignment, rows)
    m, a = labels.shape
    device = torch.device(device)
    if anchors is None:
        attribute = np.repeat(np.arange(a, dtype=np.int64), m)
        position = np.tile(np.arange(m, dtype=np.int64), a)
    else:
        attribute, position = (np.asarray(part, dtype=np.int64) for part in anchors)
    found = np.full((4, len(attribute)), NONE, np.int64)
    pools = Pools(positives, impostors)
    numbers, counts = np.unique(attribute, return_counts=True)
    before = dict(zip(numbers.tolist(), (counts.cumsum() - counts).tolist(), strict=True))

    def one(number: int) -> None:
        ordered = Ordered.of(
            features[:, number if features.shape[1] > 1 else 0], labels[:, number], assignment[:, number], device
        )
        asked = np.flatnonzero(attribute == number)
        best = mine_attribute(
            ordered, pools, pools.generator(generator, before[number]), block=block,
            anchors=None if anchors is None else position[asked],
        )  # fmt: skip
        found[:, asked] = named(best.place, rows[ordered.positions])

    for _ in in_threads(one, numbers.tolist(), device):
        pass
    pools.skip(generator, len(attribute))
    return Quintuplets(attribute.astype(np.int16), rows[position], *found)


def mine_attribute(
    ordered: Ordered,
    pools: Pools,
    generator: np.random.Generator,
    *,
    block: int | None = None,
    anchors: NDArray[np.int64] | None = None,
    share: Share = WHOLE,
) -> Best:
    """The quintuplets of one attribute, or a share of them.

    Args:
        ordered: its rows.
        pools: which searches are exact.
        generator: draws the pools of the first anchor next.
        block: as of `mine`.
        anchors: their positions (Q,); None: all.
        share: of the blocks of anchors.

    Returns:
        The best candidates that the share has found, by anchor; merged with those of all other shares it has, bit by
        bit, what a single share finds.
    """
    places = ordered.places if anchors is None else ordered.places[anchors]
    device = ordered.features.device
    best = Best.none(len(places), device)
    if pools.positives is None or pools.impostors is None:
        side = block or BLOCK[device.type]
        best = exact(ordered, None, side, share).of(places) if anchors is None else exact(ordered, places, side, share)
    if pools.positives is not None:
        best.forget(OWN_CLASS)
    if pools.impostors is not None:
        best.forget(OTHER_CLASSES)
    for low in share.of(range(0, len(places), POOLED)):
        part = places[low : low + POOLED]
        drawn = pools.generator(generator, low)
        if pools.positives is not None:
            best.set(OWN_CLASS, low, torch.stack(pooled_own(ordered, part, pools.positives, drawn)))
        if pools.impostors is not None:
            best.set(OTHER_CLASSES, low, pooled_other(ordered, part, pools.impostors, drawn)[None])
    return best


def _check(
    features: NDArray[np.float32] | Tensor,
    labels: NDArray[np.int8],
    assignment: NDArray[np.int32],
    rows: NDArray[np.int64],
) -> None:
    m = len(rows)
    if features.ndim != 3 or len(features) != m or features.shape[1] not in (1, labels.shape[1]):
        raise ValueError(
            f"features: expected ({m}, A or 1, D), found {tuple(features.shape)} for {labels.shape[1]} attributes"
        )
    for name, array in (("labels", labels), ("assignment", assignment)):
        if array.shape != (m, labels.shape[1]) or array.min(initial=0) < 0:
            raise ValueError(
                f"{name}: expected ({m}, {labels.shape[1]}) of at least 0, found {array.shape}, "
                f"least {array.min(initial=0)}"
            )
    if rows.dtype != np.int64:
        raise ValueError(f"rows: expected int64, found {rows.dtype}")
