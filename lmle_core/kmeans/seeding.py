"""Where Lloyd's loop starts: how many clusters each class gets, and their first centroids."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmle_core.kmeans.assignment import FOREIGN, one_hot
from lmle_core.kmeans.centroids import UNUSED, Centroids
from lmle_core.kmeans.source import BLOCK, Rows, ranges

CANDIDATES = 3
"""Of each step of k-means++."""


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


def uniform_draws(clusters: NDArray[np.int64], seed: int, round: int) -> NDArray[np.float64]:
    """What k-means++ draws its candidates by: each class of each attribute from its own generator.

    Args:
        clusters: wanted, shape (A, C).
        seed: of the run.
        round: of training.

    Returns:
        float64 (A, C, K, L), 0 to 1: L candidates for each of at most K clusters of a class.
    """
    most = int(clusters.max(initial=1))
    draws = np.empty((*clusters.shape, most, CANDIDATES))
    for attribute, label in np.ndindex(clusters.shape):
        draws[attribute, label] = np.random.default_rng([seed, round, attribute, label]).random((most, CANDIDATES))
    return draws


def plus_plus(features: Tensor, labels: Tensor, clusters: NDArray[np.int64], draws: Tensor, k: int) -> Tensor:
    """First centroids by greedy k-means++, of all classes of all attributes at once.

    Of a few candidates, drawn by their squared distance to the nearest centroid so far, the one that lowers the
    inertia most becomes the next.

    Args:
        features: float32 (n, A, D).
        labels: int8 (n, A).
        clusters: wanted, shape (A, C).
        draws: float64 (A, C, most clusters of a class, L), uniform.
        k: slots, K.

    Returns:
        float32 (A, K, D); an attribute's clusters come first, by class; unused slots follow as zeros.

    Source: Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007; scikit-learn's greedy
    form.
    """
    attributes, n_classes, _, tries = draws.shape
    rows = features.transpose(0, 1)
    norms = torch.linalg.vector_norm(rows, dim=-1).square_()
    own = one_hot(labels, n_classes)
    closest = own * FOREIGN
    offsets = np.concatenate([np.zeros((attributes, 1), np.int64), clusters.cumsum(1)], axis=1)
    values = features.new_zeros(attributes, k, features.shape[2])
    everyone = torch.arange(attributes, device=features.device)[:, None]
    for step in range(int(clusters.max(initial=0))):
        chances = closest.cumsum(-1, dtype=torch.float64)
        picks = torch.searchsorted(chances, draws[:, :, step] * chances[:, :, -1:], right=True)
        picks = picks.clamp_(max=features.shape[0] - 1)
        candidates = rows[everyone, picks.view(attributes, -1)]
        halves = norms[everyone, picks.view(attributes, -1)][:, :, None] / 2
        distances = torch.baddbmm(halves + norms[:, None] / 2, candidates, rows.transpose(1, 2), alpha=-1).mul_(2)
        nearer = distances.clamp_(min=0).view(attributes, n_classes, tries, -1).mul_(own[:, :, None])
        nearer = torch.minimum(nearer, closest[:, :, None])
        best = nearer.sum(-1).argmin(-1)[:, :, None, None]
        closest = nearer.take_along_dim(best, 2)[:, :, 0]
        chosen = candidates.view(attributes, n_classes, tries, -1).take_along_dim(best, 2)[:, :, 0]
        for attribute, label in np.argwhere(clusters > step):
            values[attribute, offsets[attribute, label] + step] = chosen[attribute, label]
    return values


def warm_start(source: Rows, assignment: NDArray[np.int32], classes: NDArray[np.int8]) -> Centroids:
    """The centroids of an earlier clustering as these features see them: the means over its clusters.

    The features may have moved, or be others altogether, such as the prior's before the first round.

    Args:
        source: the rows that were clustered.
        assignment: shape (n, A), slot of each row.
        classes: shape (A, K), class of each slot; -1: unused.
    """
    attributes, k = classes.shape
    _, groups, dimensions = source.shape
    sums = torch.zeros(attributes, k, dimensions, dtype=torch.float64)
    for lo, hi in ranges(len(source.labels), BLOCK):
        features = torch.tensor(source.features(lo, hi)).double()
        for attribute in range(attributes):
            slots = torch.tensor(assignment[lo:hi, attribute])
            sums[attribute].index_add_(0, slots, features[:, attribute if groups > 1 else 0])
    counts = np.stack([np.bincount(column, minlength=k) for column in assignment.T])
    values = (sums.numpy() / np.maximum(counts, 1)[:, :, None]).astype(np.float32)
    return Centroids(values, np.where(counts > 0, classes, UNUSED).astype(np.int8))
