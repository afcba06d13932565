"""Where Lloyd's loop starts: how many clusters each class gets, and their first centroids."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans.centroids import UNUSED, Centroids
from lmle_core.kmeans.source import BLOCK, Rows, ranges

SAMPLE = 2048
"""Least members of a class that k-means++ looks at, where there are as many."""
SAMPLE_PER_CLUSTER = 20


def class_counts(labels: NDArray[np.int8], n_classes: int) -> NDArray[np.int64]:
    """Rows of each class of each attribute, shape (A, C). Raises ValueError for a label that is no class."""
    if len(labels) == 0:
        raise ValueError("k-means: no rows; is the training split empty?")
    wrong = (labels < 0) | (labels >= n_classes)
    if wrong.any():
        row, attribute = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"labels: expected classes 0 to {n_classes - 1}, found {labels[row, attribute]} at row {row}, "
            f"attribute {attribute} ({int(wrong.sum())} such entries)"
        )
    return np.stack([(labels == c).sum(0, dtype=np.int64) for c in range(n_classes)], axis=1)


def cluster_counts(
    counts: NDArray[np.int64], size: int, maximum: int, per_class: int | None = None
) -> NDArray[np.int64]:
    """Clusters of each class: K = max(2, n_c // size), at most `maximum`; or `per_class`. Never more than n_c.

    Args:
        counts: n_c, rows of each class, any shape.
        size: rows of a cluster, l.
        maximum: most clusters of a class.
        per_class: the same number for each class instead.

    Corner cases: a class with one row has one cluster, a class without rows has none.
    """
    wanted = (
        np.minimum(np.maximum(2, counts // size), maximum) if per_class is None else np.full_like(counts, per_class)
    )
    return np.minimum(wanted, counts)


@dataclass(frozen=True, eq=False)
class Start:
    """An earlier clustering of the same rows, to start from.

    Attributes:
        assignment: int32 (n, A), slot of each row.
        classes: int8 (A, K), class of each slot; -1: unused.
    """

    assignment: NDArray[np.int32]
    classes: NDArray[np.int8]


def plus_plus(source: Rows, clusters: NDArray[np.int64], seed: int, round: int) -> Centroids:
    """First centroids by k-means++ on a sample of each class of each attribute.

    Args:
        source: the rows.
        clusters: wanted, shape (A, C); 0 for a class without rows.
        seed: of the run.
        round: of training. Each class of each attribute draws from its own generator, (seed, round, attribute, class).

    Source: Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007; scikit-learn's greedy
    form.
    """
    from sklearn.cluster import kmeans_plusplus

    _, groups, dimensions = source.shape
    offsets = np.concatenate([np.zeros((len(clusters), 1), np.int64), clusters.cumsum(1)], axis=1)
    values = np.zeros((len(clusters), max(1, int(offsets[:, -1].max())), dimensions), np.float32)
    classes = np.full(values.shape[:2], UNUSED, np.int8)
    generators = {
        (int(attribute), int(label)): np.random.default_rng([seed, round, int(attribute), int(label)])
        for attribute, label in np.argwhere(clusters > 0)
    }
    picks = {}
    for (attribute, label), generator in generators.items():
        members = np.flatnonzero(source.labels[:, attribute] == label)
        size = max(SAMPLE, SAMPLE_PER_CLUSTER * int(clusters[attribute, label]))
        if len(members) > size:
            members = np.sort(generator.choice(members, size, replace=False, shuffle=False))
        picks[attribute, label] = members
    for (attribute, label), sample in _gather(source, picks, groups).items():
        lo, hi = offsets[attribute, label], offsets[attribute, label + 1]
        state = int(generators[attribute, label].integers(2**31))
        values[attribute, lo:hi], _ = kmeans_plusplus(sample, int(hi - lo), random_state=state)
        classes[attribute, lo:hi] = label
    return Centroids(values, classes)


def warm_start(source: Rows, start: Start) -> Centroids:
    """The centroids of an earlier clustering as these features see them: the means over its clusters.

    The features may have moved, or be others altogether, such as the prior's before the first round.
    """
    attributes, k = start.classes.shape
    _, groups, dimensions = source.shape
    sums = torch.zeros(attributes, k, dimensions, dtype=torch.float64)
    for lo, hi in ranges(len(source.labels), BLOCK):
        features = torch.tensor(source.features(lo, hi)).double()
        for attribute in range(attributes):
            slots = torch.tensor(start.assignment[lo:hi, attribute])
            sums[attribute].index_add_(0, slots, features[:, attribute if groups > 1 else 0])
    counts = np.stack([np.bincount(column, minlength=k) for column in start.assignment.T])
    values = (sums.numpy() / np.maximum(counts, 1)[:, :, None]).astype(np.float32)
    return Centroids(values, np.where(counts > 0, start.classes, UNUSED).astype(np.int8))


def _gather(
    source: Rows, picks: dict[tuple[int, int], NDArray[np.int64]], groups: int
) -> dict[tuple[int, int], NDArray[np.float32]]:
    """Features of the picked rows, (attribute, class) -> (picked, D), in one pass over the blocks."""
    samples = {key: np.empty((len(rows), source.shape[2]), np.float32) for key, rows in picks.items()}
    for lo, hi in ranges(len(source.labels), BLOCK):
        features = source.features(lo, hi)
        for key, rows in picks.items():
            first, last = np.searchsorted(rows, (lo, hi))
            if last > first:
                samples[key][first:last] = features[rows[first:last] - lo, key[0] if groups > 1 else 0]
    return samples
