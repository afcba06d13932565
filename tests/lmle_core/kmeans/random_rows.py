"""Random rows for the tests of k-means, with every class count wanted, and the slow loops that check them."""

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.kmeans import ArrayRows, Centroids, Rows
from lmle_core.kmeans.coarse import coarse_start
from lmle_core.kmeans.seeding import class_counts, cluster_counts


def random_rows(
    n: int, attributes: int, dimensions: int, *, classes: int = 2, shared: bool = False, seed: int = 0
) -> ArrayRows:
    """Rows of unit length, each class around some directions of its own."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=(n, attributes)).astype(np.int8)
    modes = generator.normal(size=(classes, 3, dimensions))
    groups = 1 if shared else attributes
    chosen = modes[labels[:, :groups], generator.integers(3, size=(n, groups))]
    array = (chosen + generator.normal(size=(n, groups, dimensions))).astype(np.float32)
    array /= np.linalg.norm(array, axis=-1, keepdims=True)
    return ArrayRows(array, labels)


def random_centroids(source: ArrayRows, slots: int, classes: int, seed: int = 0) -> Centroids:
    """Random centroids, `slots` for each class, followed by one unused slot at the origin, nearest to everything."""
    generator = np.random.default_rng(seed)
    attributes = source.labels.shape[1]
    values = generator.normal(size=(attributes, slots * classes + 1, source.shape[2])).astype(np.float32)
    values[:, -1] = 0
    owners = np.append(np.repeat(np.arange(classes), slots), -1).astype(np.int8)
    return Centroids(values, np.tile(owners, (attributes, 1)))


def slots_by_loop(source: ArrayRows, centroids: Centroids) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Slot of every row and its squared distance, one row and one slot after the other, in float64."""
    n, attributes = source.labels.shape
    slots = np.full((n, attributes), -1, np.int32)
    distances = np.full((n, attributes), np.inf)
    for row in range(n):
        for attribute in range(attributes):
            x = source.array[row, attribute if source.array.shape[1] > 1 else 0].astype(np.float64)
            for slot, owner in enumerate(centroids.classes[attribute]):
                if owner == source.labels[row, attribute]:
                    distance = ((x - centroids.values[attribute, slot].astype(np.float64)) ** 2).sum()
                    if distance < distances[row, attribute]:
                        slots[row, attribute], distances[row, attribute] = slot, distance
    return slots, distances


def first_centroids(source: Rows, per_class: int, classes: int, seed: int = 0) -> Centroids:
    """Where k-means starts, with so many clusters for each class."""
    clusters = cluster_counts(class_counts(source.labels, classes), 1, 64, per_class)
    return coarse_start(source, clusters, seed, 0, torch.device("cpu"))
