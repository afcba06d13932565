"""Bootstrap of balanced accuracy: resamples of the images, as a matrix of weights times per-class correctness."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
CONFIDENCE = 0.95
_BLOCK = 2_000_000  # weights held at a time: 8 MB


def class_members(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(n, C, A): whether an image is of class c of attribute a."""
    return labels[:, None, :] == np.arange(n_classes)[:, None]


def class_hits(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """(n, C, A): whether an image is of class c of attribute a, and recognised."""
    return class_members(labels, n_classes) & (labels == predictions)[:, None, :]


def mean_recalls(hits: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur, from counts (..., C, A) to (..., A); NaN where fewer than two do."""
    present = support > 0
    recall = np.where(present, hits / np.maximum(support, 1), 0.0)
    classes = present.sum(axis=-2)
    return np.where(classes >= 2, recall.sum(axis=-2) / np.maximum(classes, 1), np.nan)


def resampling_weights(
    images: int, bootstrap: int, seed: int, groups: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """How often each image occurs in each resample.

    Args:
        images: how many.
        bootstrap: how many resamples.
        seed: of the draws.
        groups: (images,), such as whose image each is: drawn are whole groups, as many as there are, since images of
            one person are not independent. None: each image is one.

    Yields:
        Blocks of rows of the (bootstrap, images) float32 matrix; each row is multinomial over the groups.
    """
    rng = np.random.default_rng(seed)
    group = np.arange(images) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(group.max()) + 1
    rows = max(1, _BLOCK // images)
    for start in range(0, bootstrap, rows):
        drawn = [
            np.bincount(rng.integers(units, size=units), minlength=units)[group]
            for _ in range(min(rows, bootstrap - start))
        ]
        yield np.array(drawn, dtype=np.float32)


def resampled_accuracies(
    labels: np.ndarray,
    predictions: np.ndarray,
    n_classes: int,
    *,
    bootstrap: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Balanced accuracy of each attribute on each resample.

    Args:
        labels: (n, A) integers in 0..n_classes-1.
        predictions: (n, A), likewise.
        n_classes: classes of each attribute.
        bootstrap: B, the number of resamples.
        seed: of the resamples, which depend on it, on n and on the groups alone.
        groups: see `resampling_weights`.

    Returns:
        (B, A) float64; NaN where a resample holds fewer than two classes, and throughout where all images are of one
        group, whose resamples would all be alike. Counts stay below 2^24, so that the float32
        products are exact, whatever the order of their sums.
    """
    n, columns = labels.shape
    if groups is not None and len(np.unique(groups)) < 2:
        return np.full((bootstrap, columns), np.nan)
    members = class_members(labels, n_classes).reshape(n, -1).astype(np.float32)
    hits = class_hits(labels, predictions, n_classes).reshape(n, -1).astype(np.float32)
    blocks = []
    for weights in resampling_weights(n, bootstrap, seed, groups):
        counts = [(weights @ each).reshape(-1, n_classes, columns).astype(np.float64) for each in (hits, members)]
        blocks.append(mean_recalls(*counts))
    return np.concatenate(blocks)


def mean_over_attributes(accuracies: np.ndarray) -> np.ndarray:
    """(B, A) to (B,): each resample's mean over its attributes that have two classes; NaN without any."""
    present = ~np.isnan(accuracies)
    counts = present.sum(axis=1)
    means: np.ndarray = np.where(present, accuracies, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return np.where(counts > 0, means, np.nan)


def mean_balanced_accuracy(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> float:
    """Balanced accuracy of the argmax, meaned over the attributes that have two classes; NaN without any."""
    classes = scores.shape[2]
    decided = scores.argmax(-1)
    hits, members = class_hits(labels, decided, classes).sum(0), class_members(labels, classes).sum(0)
    return float(mean_over_attributes(mean_recalls(hits, members)[None])[0])


def percentile_interval(values: np.ndarray) -> Interval | None:
    """The middle 95 % of the values that are not NaN; None without any."""
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
