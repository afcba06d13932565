"""Quintuplets for the table mode: mined once over a subset, exactly or from random pools of candidates."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NONE = -1
_ROLES = ("anchor", "farthest_own", "nearest_outside", "farthest_outside", "impostor")


@dataclass(frozen=True, eq=False)
class Quintuplets:
    """A table of quintuplets; members are row indices as given to `mine`, -1 where the set is empty.

    Attributes:
        attribute: int16 (Q,).
        anchor: int64 (Q,), x.
        farthest_own: int64 (Q,), p+, the most distant member of the anchor's cluster.
        nearest_outside: int64 (Q,), p-, the nearest member of the class outside the cluster.
        farthest_outside: int64 (Q,), p--, the most distant member of the class outside the cluster.
        impostor: int64 (Q,), n, the nearest sample of another class.

    Raises:
        ValueError: where lengths or types do not fit each other.
    """

    attribute: NDArray[np.int16]
    anchor: NDArray[np.int64]
    farthest_own: NDArray[np.int64]
    nearest_outside: NDArray[np.int64]
    farthest_outside: NDArray[np.int64]
    impostor: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.attribute.dtype != np.int16 or self.attribute.ndim != 1:
            raise ValueError(f"attribute: expected int16 (Q,), found {self.attribute.dtype} {self.attribute.shape}")
        for name in _ROLES:
            array = getattr(self, name)
            if array.dtype != np.int64 or array.shape != self.attribute.shape:
                raise ValueError(f"{name}: expected int64 {self.attribute.shape}, found {array.dtype} {array.shape}")
        if (self.anchor < 0).any():
            raise ValueError(f"anchor: expected row indices, found {self.anchor.min()}")

    def __len__(self) -> int:
        return len(self.attribute)

    def members(self, picks: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows x, p+, p-, p--, n of the quintuplets at `picks` (q,), shape (q, 5)."""
        return np.stack([getattr(self, role)[picks] for role in _ROLES], axis=1)

    def save(self, directory: Path) -> None:
        """Write quintuplets.npz."""
        directory.mkdir(parents=True, exist_ok=True)
        np.savez(directory / "quintuplets.npz", **{name: getattr(self, name) for name in ("attribute", *_ROLES)})

    @classmethod
    def load(cls, directory: Path) -> "Quintuplets":
        """Read what `save` wrote."""
        with np.load(directory / "quintuplets.npz") as arrays:
            return cls(**{name: arrays[name] for name in ("attribute", *_ROLES)})


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
    block: int = 4096,
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
        block: anchors, and candidates, that are compared at a time; memory grows with its square, not with M.
        anchors: (attributes, positions in the subset), each (Q,), to mine these alone, in this order. None: all rows
            under all attributes, by attribute, then by row.

    Returns:
        One quintuplet an anchor.

    Corner cases: an anchor is no candidate for its own p+, so p+ is -1 for the only member of a cluster; p- and p--
    are -1 where the class is a single cluster, n where no other class occurs. Ties go to the lowest position. Pools
    are drawn with replacement.
    """
    _check(features, labels, assignment, rows)
    m, a = labels.shape
    device = torch.device(device)
    if anchors is None:
        attribute = np.repeat(np.arange(a, dtype=np.int64), m)
        position = np.tile(np.arange(m, dtype=np.int64), a)
    else:
        attribute, position = (np.asarray(part, dtype=np.int64) for part in anchors)
    found = torch.full((4, len(attribute)), NONE, dtype=torch.int64)
    for number in np.unique(attribute):
        asked = torch.from_numpy(np.flatnonzero(attribute == number))
        column = features[:, number if features.shape[1] > 1 else 0]
        column = torch.from_numpy(np.ascontiguousarray(column)) if isinstance(column, np.ndarray) else column
        subset = _Subset.of(
            column.to(device),
            torch.tensor(labels[:, number], device=device),
            torch.tensor(assignment[:, number], device=device),
        )
        for part in torch.split(asked, block):
            x = torch.from_numpy(position[part.numpy()]).to(device)
            own = _exact_own(subset, x, block) if positives is None else _pooled_own(subset, x, positives, generator)
            n = _exact_other(subset, x, block) if impostors is None else _pooled_other(subset, x, impostors, generator)
            found[:, part] = torch.stack((*own, n)).cpu()
    named = np.append(rows, NONE)[found.numpy()]  # -1 picks the appended -1
    return Quintuplets(attribute.astype(np.int16), rows[position], *named)


@dataclass(frozen=True, eq=False)
class _Subset:
    """One attribute's rows, and their order by class and cluster, in which every candidate set is one or two ranges."""

    features: Tensor
    half: Tensor  # |y|² / 2
    labels: Tensor
    clusters: Tensor
    order: Tensor  # position of each place
    place: Tensor  # place of each position
    class_start: Tensor
    class_size: Tensor
    cluster_start: Tensor
    cluster_size: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, clusters: Tensor) -> "_Subset":
        labels, clusters = labels.long(), clusters.long()
        order = clusters.argsort(stable=True)
        order = order[labels[order].argsort(stable=True)]
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        class_size = labels.bincount()
        cluster_size = clusters.bincount()
        cluster_start = torch.full_like(cluster_size, len(order)).scatter_reduce_(0, clusters, place, "amin")
        half = (features * features).sum(-1) / 2
        return cls(
            features, half, labels, clusters, order, place,
            class_size.cumsum(0) - class_size, class_size, cluster_start, cluster_size,
        )  # fmt: skip


def _scores(subset: _Subset, anchors: Tensor, candidates: Tensor) -> Tensor:
    """(D² - |x|²) / 2 of each anchor to each candidate: orders an anchor's candidates as D does. Shape (b, t)."""
    return subset.half[candidates] - subset.features[anchors] @ subset.features[candidates].T


class _Running:
    """The best candidate of each anchor so far, over tiles of candidates in rising order."""

    def __init__(self, anchors: Tensor, sign: int) -> None:
        self.sign = sign
        self.best = torch.full(anchors.shape, -torch.inf, device=anchors.device)
        self.position = torch.full_like(anchors, NONE)

    def see(self, scores: Tensor, candidates: Tensor, barred: Tensor | None = None) -> None:
        """`sign` +1 keeps the farthest, -1 the nearest; an equal one that comes later does not replace it."""
        if len(candidates) == 0:
            return
        scores = scores if self.sign > 0 else -scores
        if barred is not None:
            scores = scores.masked_fill(barred, -torch.inf)
        value, index = scores.max(1)
        better = value > self.best
        self.best = torch.where(better, value, self.best)
        self.position = torch.where(better, candidates[index], self.position)


def _by_class(subset: _Subset, anchors: Tensor, visit: Callable[[Tensor, Tensor, int], None]) -> None:
    labels = subset.labels[anchors]
    for label in torch.unique(labels).tolist():
        asked = (labels == label).nonzero()[:, 0]
        visit(asked, anchors[asked], label)


def _exact_own(subset: _Subset, anchors: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """p+, p- and p-- of each anchor over its whole class; the three searches share the distances."""
    found = torch.full((3, len(anchors)), NONE, device=anchors.device)

    def visit(asked: Tensor, x: Tensor, label: int) -> None:
        farthest_own, nearest_outside, farthest_outside = _Running(x, 1), _Running(x, -1), _Running(x, 1)
        for tile in torch.split((subset.labels == label).nonzero()[:, 0], block):
            scores = _scores(subset, x, tile)
            inside = subset.clusters[x][:, None] == subset.clusters[tile]
            farthest_own.see(scores, tile, ~inside | (x[:, None] == tile))
            nearest_outside.see(scores, tile, inside)
            farthest_outside.see(scores, tile, inside)
        found[:, asked] = torch.stack((farthest_own.position, nearest_outside.position, farthest_outside.position))

    _by_class(subset, anchors, visit)
    return found[0], found[1], found[2]


def _exact_other(subset: _Subset, anchors: Tensor, block: int) -> Tensor:
    """The nearest impostor of each anchor, over all other classes."""
    found = torch.full_like(anchors, NONE)

    def visit(asked: Tensor, x: Tensor, label: int) -> None:
        nearest = _Running(x, -1)
        for tile in torch.split((subset.labels != label).nonzero()[:, 0], block):
            nearest.see(_scores(subset, x, tile), tile)
        found[asked] = nearest.position

    _by_class(subset, anchors, visit)
    return found


def _pooled_own(
    subset: _Subset, anchors: Tensor, pool: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """p+ from a pool of the own cluster, p- and p-- from one pool of the class outside it."""
    place, cluster, label = subset.place[anchors], subset.clusters[anchors], subset.labels[anchors]
    start, size = subset.cluster_start[cluster], subset.cluster_size[cluster]
    own = _draw(size - 1, pool, generator) + start[:, None]
    own += own >= place[:, None]
    outside_size = subset.class_size[label] - size
    outside = _draw(outside_size, pool, generator) + subset.class_start[label][:, None]
    outside += (outside >= start[:, None]) * size[:, None]
    farthest_own = _extreme(subset, anchors, own, size - 1, (1,))
    nearest_outside, farthest_outside = _extreme(subset, anchors, outside, outside_size, (-1, 1))
    return farthest_own[0], nearest_outside, farthest_outside


def _pooled_other(subset: _Subset, anchors: Tensor, pool: int, generator: np.random.Generator) -> Tensor:
    """The nearest impostor of each anchor, from a pool of all other classes."""
    label = subset.labels[anchors]
    size = len(subset.labels) - subset.class_size[label]
    other = _draw(size, pool, generator)
    other += (other >= subset.class_start[label][:, None]) * subset.class_size[label][:, None]
    return _extreme(subset, anchors, other, size, (-1,))[0]


def _draw(sizes: Tensor, pool: int, generator: np.random.Generator) -> Tensor:
    """`pool` numbers from 0 to size - 1 for each size, with replacement; 0 for a size of 0."""
    uniform = torch.from_numpy(generator.random((len(sizes), pool))).to(sizes.device)
    sizes = sizes.clamp(min=0)[:, None]
    return (uniform * sizes).long().minimum((sizes - 1).clamp(min=0))


def _extreme(
    subset: _Subset, anchors: Tensor, places: Tensor, sizes: Tensor, signs: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Each pool's farthest (+1) or nearest (-1) member; -1 for a set of size 0."""
    candidates = subset.order[places.clamp(max=len(subset.order) - 1)].sort(dim=1).values
    x = subset.features[anchors]
    scores = subset.half[candidates] - torch.einsum("bd,bpd->bp", x, subset.features[candidates])
    found = []
    for sign in signs:
        chosen = candidates.gather(1, (scores * sign).max(1, keepdim=True)[1])[:, 0]
        found.append(torch.where(sizes > 0, chosen, NONE))
    return tuple(found)


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
