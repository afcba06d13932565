"""Mining: the quintuplet of each anchor, each of its searches over all candidates or over a random pool of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.quintuplets.exact import exact
from lmle_core.quintuplets.ordered import NONE, Ordered
from lmle_core.quintuplets.pools import pooled_other, pooled_own
from lmle_core.quintuplets.table import Quintuplets
from lmle_core.threads import in_threads

BLOCK = {"cpu": 768, "cuda": 8192}
"""Side of the square of distances that are computed at a time: what a core's cache holds; what fills a GPU."""
POOLED = 4096
"""Anchors whose pools are compared at a time."""


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
        generator: draws the pools.
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
    side = block or BLOCK[device.type]
    if anchors is None:
        attribute = np.repeat(np.arange(a, dtype=np.int64), m)
        position = np.tile(np.arange(m, dtype=np.int64), a)
    else:
        attribute, position = (np.asarray(part, dtype=np.int64) for part in anchors)
    found = np.full((4, len(attribute)), NONE, np.int64)

    def one(number: int) -> None:
        column = features[:, number if features.shape[1] > 1 else 0]
        ordered = Ordered.of(column, labels[:, number], assignment[:, number], device)
        place = np.empty_like(ordered.positions)
        place[ordered.positions] = np.arange(m)
        asked = np.flatnonzero(attribute == number)
        places = place[position[asked]]
        mined = torch.full((4, len(asked)), NONE, device=device)
        if positives is None or impostors is None:
            mined = exact(ordered, places, side) if anchors else exact(ordered, None, side)[:, places]
        for lo in range(0, len(places), POOLED):
            part = places[lo : lo + POOLED]
            if positives is not None:
                mined[:3, lo : lo + POOLED] = torch.stack(pooled_own(ordered, part, positives, generator))
            if impostors is not None:
                mined[3, lo : lo + POOLED] = pooled_other(ordered, part, impostors, generator)
        named = np.append(rows[ordered.positions], NONE)  # -1 picks the appended -1
        found[:, asked] = named[mined.cpu().numpy()]

    # Pools are drawn from one generator, so attributes with pools take their turn.
    numbers = np.unique(attribute).tolist()
    for _ in in_threads(one, numbers, device) if positives is None and impostors is None else map(one, numbers):
        pass
    return Quintuplets(attribute.astype(np.int16), rows[position], *found)


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
