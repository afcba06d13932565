"""Quintuplets among a batch's members: every image is an anchor of every attribute, its extremes over random pools."""

import torch
from torch import Tensor

from lmle_core.losses import QuintupletDistances, euclidean

FEW = 8
"""Candidates in each pool up to which they are drawn one by one, and all pairs of the batch are not compared."""


def batch_quintuplet_distances(
    embeddings: Tensor,
    clusters: Tensor,
    cluster_class: Tensor,
    *,
    positives: int,
    impostors: int,
    generator: torch.Generator,
    squared: bool = False,
) -> QuintupletDistances:
    """Distances to p+, p−, p−− and n of each anchor: extremes over a random sub-pool, drawn without replacement.

    Args:
        embeddings: shape (B, A, d), unit length.
        clusters: shape (B, A), int64.
        cluster_class: shape (A, K), −1 for none.
        positives: most candidates in the own cluster, and in the own class outside it.
        impostors: most candidates of other classes.
        generator: draws the pools.
        squared: squared distances.

    Returns:
        Distances of A · B anchors, ordered by attribute.

    Corner cases: B is at least 2. A member that an anchor has no candidate for is absent, its distance 0; of fewer
    candidates than the pool holds, all are in it.
    """
    of = _of_few if max(positives, impostors) <= FEW else _of_many
    pools = (positives, positives, impostors)
    similarity, present = of(embeddings.transpose(0, 1), clusters.T, cluster_class, pools, generator)
    distances = torch.where(present, euclidean(similarity, squared=squared), 0.0)
    own_cluster, near_cluster, far_cluster, impostor = distances.flatten(0, 1).unbind(1)
    return QuintupletDistances(own_cluster, near_cluster, far_cluster, impostor, present.flatten(0, 1))


def _of_few(
    embeddings: Tensor, clusters: Tensor, cluster_class: Tensor, pools: tuple[int, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cosine similarity of each anchor and its four members, and which there are, both (A, B, 4); takes O(B log B).

    `pools` are the most candidates in the own cluster, in the own class outside it, and in other classes.
    """
    attributes, number, width = embeddings.shape
    classes = torch.gather(cluster_class, 1, clusters)
    # In the order of class and cluster, each set of candidates lies together in a circle: its class, or the batch.
    key = classes * cluster_class.shape[1] + clusters
    ordered, order = key.sort(1)
    by_class = classes.gather(1, order)
    start, stop = (torch.searchsorted(ordered, key, right=right) for right in (False, True))
    first, last = (torch.searchsorted(by_class, classes, right=right) for right in (False, True))
    place = torch.empty_like(order).scatter_(1, order, torch.arange(number, device=order.device).expand_as(order))
    sizes = (stop - start - 1, last - first - (stop - start), number - (last - first))
    circles = (  # where each begins, its size, and where in it the candidates begin
        (start, stop - start, place - start + 1),
        (first, last - first, stop - first),
        (torch.zeros_like(last), torch.full_like(last, number), last),
    )
    places = [
        origin[..., None] + (begin[..., None] + _distinct(size, pool, generator)) % circle[..., None]
        for size, pool, (origin, circle, begin) in zip(sizes, pools, circles, strict=True)
    ]
    members = order.gather(1, torch.cat(places, dim=2).flatten(1))  # (A, B · candidates)
    rows = members + torch.arange(0, attributes * number, number, device=order.device)[:, None]
    vectors = embeddings.reshape(-1, width).index_select(0, rows.flatten()).view(attributes, number, -1, width)
    similarity = (embeddings[:, :, None] * vectors).sum(-1)
    there = torch.cat(
        [torch.arange(pool, device=order.device) < size[..., None] for size, pool in zip(sizes, pools, strict=True)],
        dim=2,
    )
    least = [each.amin(2) for each in torch.split(torch.where(there, similarity, torch.inf), list(pools), dim=2)]
    greatest = [each.amax(2) for each in torch.split(torch.where(there, similarity, -torch.inf), list(pools), dim=2)]
    has_own, has_outside, has_impostor = (size > 0 for size in sizes)
    return (
        torch.stack([least[0], greatest[1], least[1], greatest[2]], dim=2),
        torch.stack([has_own, has_outside, has_outside, has_impostor], dim=2),
    )


def _distinct(sizes: Tensor, pool: int, generator: torch.Generator) -> Tensor:
    """For each size the first `pool` of a random order of 0 to size − 1, shape (*sizes.shape, pool).

    Where there are fewer, the numbers after those mean nothing.
    """
    uniform = torch.rand(*sizes.shape, pool, generator=generator, device=sizes.device, dtype=torch.float64)
    drawn: list[Tensor] = []
    for number in range(pool):
        left = (sizes - number).clamp(min=1)
        one = (uniform[..., number] * left).long().minimum(left - 1)
        if drawn:  # the one-th of those that are left
            for taken in torch.stack(drawn, dim=-1).sort(-1).values.unbind(-1):
                one = one + (one >= taken)
        drawn.append(one)
    return torch.stack(drawn, dim=-1)


def _of_many(
    embeddings: Tensor, clusters: Tensor, cluster_class: Tensor, pools: tuple[int, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The same over all pairs of the batch, O(B²); all attributes of an anchor draw by the same order."""
    classes = torch.gather(cluster_class, 1, clusters)
    similarity = embeddings @ embeddings.transpose(1, 2)
    number = similarity.shape[1]
    with torch.no_grad():  # which members they are; the gradient flows through the distances of these alone
        draws = torch.rand(number, number, generator=generator, device=embeddings.device)
        others = draws.fill_diagonal_(2).argsort(1)[:, :-1]  # (B, B − 1), at random, without the anchor itself
        others = others.expand(len(clusters), -1, -1)

        def same(groups: Tensor) -> Tensor:
            return groups[:, None].expand(-1, number, -1).gather(2, others) == groups[:, :, None]

        candidates = similarity.gather(2, others)
        same_cluster, same_class = same(clusters), same(classes)
        sets = (same_cluster, same_class & ~same_cluster, ~same_class)
        own, outside, impostor = (_first(each, pool) for each, pool in zip(sets, pools, strict=True))
        extremes = [
            torch.where(own, candidates, torch.inf).min(2),
            torch.where(outside, candidates, -torch.inf).max(2),
            torch.where(outside, candidates, torch.inf).min(2),
            torch.where(impostor, candidates, -torch.inf).max(2),
        ]
        members = others.gather(2, torch.stack([places for _, places in extremes], dim=-1))
        near = outside.any(2)
        present = torch.stack([own.any(2), near, near, impostor.any(2)], dim=-1)
    return similarity.gather(2, members), present


def _first(mask: Tensor, size: int) -> Tensor:
    """The first `size` members of each row's mask; of candidates in random order, a random sub-pool."""
    return mask if size >= mask.shape[-1] else mask & (mask.cumsum(-1, dtype=torch.int32) <= size)
