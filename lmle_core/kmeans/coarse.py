"""Where Lloyd's loop over all rows starts: k-means++ and quick passes over a sample of each class of each attribute."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.kmeans.assignment import assign_block, prepare
from lmle_core.kmeans.centroids import UNUSED, Centroids
from lmle_core.kmeans.seeding import plus_plus, uniform_draws
from lmle_core.kmeans.source import BLOCK, ArrayRows, Rows, ranges
from lmle_core.threads import in_threads

LEVELS = ((64, 8), (256, 4))
"""Sampled rows for each cluster, and passes over them: the means of 256 err by 1/256 of the inertia."""
BYTES = 1 << 29
"""Most that a sample takes."""
RELAXATION = 1.8
"""How far a centroid goes towards, and beyond, the mean of its rows: 1 is Lloyd's step, below 2 it converges."""
ATTRIBUTES = 8
"""Attributes at a time on a CPU; their sample stays in its cache."""


def coarse_start(source: Rows, clusters: NDArray[np.int64], seed: int, round: int, device: torch.device) -> Centroids:
    """First centroids, close to where Lloyd's loop would take them.

    k-means++ on a small sample and over-relaxed passes over it, then over a larger one.

    Args:
        source: the rows.
        clusters: wanted, shape (A, C), at most the rows of the class; 0 for a class without rows.
        seed: of the run.
        round: of training.
        device: where to compute. On a CPU no bit depends on the number of threads, nor on the engine that goes on.

    Source: over-relaxation as in Xu and Jordan, On convergence properties of the EM algorithm, Neural Computation 8
    (1996).

    Corner cases: a slot that loses its sampled rows stays where it is: it may have rows beyond the sample.
    """
    larger = sample(source, clusters, LEVELS[1][0])
    levels = [sample(larger, clusters, LEVELS[0][0]), larger]
    attributes = len(clusters)
    k = max(1, int(clusters.sum(1).max()))
    classes = np.full((attributes, k), UNUSED, np.int8)
    for attribute, wanted in enumerate(clusters):
        classes[attribute, : wanted.sum()] = np.repeat(np.arange(len(wanted)), wanted)
    draws = uniform_draws(clusters, seed, round)
    step = ATTRIBUTES if device.type == "cpu" else attributes

    def one(lo: int) -> Tensor:
        some = slice(lo, lo + step)
        return _fit(
            [torch.from_numpy(np.ascontiguousarray(rows.array[:, some])).to(device) for rows in levels],
            [torch.from_numpy(np.ascontiguousarray(rows.labels[:, some])).to(device) for rows in levels],
            torch.from_numpy(classes[some]).to(device),
            torch.from_numpy(draws[some]).to(device),
            clusters[some],
        )

    values = torch.cat(list(in_threads(one, range(0, attributes, step), device)))
    return Centroids(values.cpu().numpy(), classes)


def sample(source: Rows, clusters: NDArray[np.int64], per_cluster: int) -> ArrayRows:
    """Every so many rows of each class, as many rows for each attribute.

    Args:
        source: the rows.
        clusters: wanted, shape (A, C); a class gets rows by its share of the attribute's clusters, as far as it has
            them, and what is left goes to the larger ones.
        per_cluster: rows, of the attribute with the most clusters.

    Returns:
        S rows, by class; each attribute has its own.
    """
    n, groups, dimensions = source.shape
    attributes = len(clusters)
    size = min(n, per_cluster * int(clusters.sum(1).max()), max(1, BYTES // (4 * attributes * dimensions)))
    rows = np.empty((size, attributes), np.int64)
    labels = np.empty((size, attributes), np.int8)
    for attribute, column in enumerate(np.ascontiguousarray(source.labels.T)):
        members = [np.flatnonzero(column == label) for label in range(clusters.shape[1])]
        shares = _shares(np.array([len(own) for own in members]), clusters[attribute], size)
        rows[:, attribute] = np.concatenate(
            [own[np.arange(share) * len(own) // max(share, 1)] for own, share in zip(members, shares, strict=True)]
        )
        labels[:, attribute] = np.repeat(np.arange(len(shares)), shares)
    features = np.empty((size * attributes, dimensions), np.float32)
    order = rows.reshape(-1).argsort(kind="stable")
    wanted = rows.reshape(-1)[order]
    for lo, hi in ranges(n, BLOCK):
        first, last = np.searchsorted(wanted, (lo, hi))
        places = order[first:last]
        group = places % attributes if groups > 1 else 0
        embeddings = source.features(lo, hi).reshape(-1, dimensions)
        features[places] = embeddings.take((wanted[first:last] - lo) * groups + group, axis=0)
    return ArrayRows(features.reshape(size, attributes, dimensions), labels)


def _shares(members: NDArray[np.int64], clusters: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Rows of each class, `size` in all, smaller classes first."""
    shares = np.zeros_like(members)
    left, weight = size, int(clusters.sum())
    for label in np.argsort(members / np.maximum(clusters, 1), kind="stable"):
        if clusters[label]:
            shares[label] = min(members[label], -(-left * clusters[label] // weight))
            left, weight = left - shares[label], weight - int(clusters[label])
    return shares


def _fit(
    features: list[Tensor], labels: list[Tensor], classes: Tensor, draws: Tensor, clusters: NDArray[np.int64]
) -> Tensor:
    """Centroids float32 (A, K, D) of some attributes, from their samples."""
    values = plus_plus(features[0], labels[0], clusters, draws, classes.shape[1])
    for rows, owners, (_, passes) in zip(features, labels, LEVELS, strict=True):
        for _ in range(passes):
            total, _ = assign_block(rows, owners, prepare(values, classes, clusters.shape[1]))
            means = (total.sums / total.counts.clamp(min=1)[:, :, None]).float()
            values = torch.where(total.counts[:, :, None] > 0, values.lerp(means, RELAXATION), values)
    return values
