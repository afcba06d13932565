"""The clustering stage: k-means cells within each class of each attribute, and their file format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmle_core.config import Cluster
from lmle_core.kmeans.centroids import UNUSED
from lmle_core.kmeans.coarse import coarse_start
from lmle_core.kmeans.lloyd import Blocks, lloyd
from lmle_core.kmeans.seeding import class_counts, cluster_counts, warm_start

_ARRAYS = ("assignment", "rows", "centroids", "centroid_class", "sizes", "inertia")


@dataclass(frozen=True, eq=False)
class Clusters:
    """A round's clusters of the training rows.

    Attributes:
        attributes: names, A of them.
        assignment: int32 (n, A), slot of each training row under each attribute.
        rows: int64 (n,), index of each training row in the data set.
        centroids: float32 (A, K, D); an attribute's clusters come first, by class; unused slots follow as zeros.
        centroid_class: int8 (A, K), class of each slot; -1: unused.
        sizes: int64 (A, K), rows of each slot.
        inertia: float64 (A,), squared distances of the rows to their centroids.
        empties: clusters that lost all their rows and were dropped.
        iterations: Lloyd iterations.

    Raises:
        ValueError: where shapes, types or sizes do not fit each other.
    """

    attributes: tuple[str, ...]
    assignment: NDArray[np.int32]
    rows: NDArray[np.int64]
    centroids: NDArray[np.float32]
    centroid_class: NDArray[np.int8]
    sizes: NDArray[np.int64]
    inertia: NDArray[np.float64]
    empties: int
    iterations: int

    def __post_init__(self) -> None:
        n, a = len(self.rows), len(self.attributes)
        if self.centroids.ndim != 3:
            raise ValueError(f"centroids: expected (A, K, D), found {self.centroids.shape}")
        k, d = self.centroids.shape[1:]
        expected = {
            "assignment": (np.int32, (n, a)),
            "rows": (np.int64, (n,)),
            "centroids": (np.float32, (a, k, d)),
            "centroid_class": (np.int8, (a, k)),
            "sizes": (np.int64, (a, k)),
            "inertia": (np.float64, (a,)),
        }
        for name, (dtype, shape) in expected.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{name}: expected {np.dtype(dtype)} {shape}, found {array.dtype} {array.shape}")
        if n and (self.assignment.min() < 0 or self.assignment.max() >= k):
            raise ValueError(
                f"assignment: expected slots 0 to {k - 1}, found {self.assignment.min()} to {self.assignment.max()}"
            )
        counted = np.stack([np.bincount(column, minlength=k) for column in self.assignment.T])
        if not np.array_equal(counted, self.sizes):
            attribute, slot = (int(i) for i in np.argwhere(counted != self.sizes)[0])
            raise ValueError(
                f"sizes: attribute {self.attributes[attribute]}, slot {slot}: expected the {counted[attribute, slot]} "
                f"rows assigned to it, found {self.sizes[attribute, slot]}"
            )
        if ((self.sizes > 0) != (self.centroid_class >= 0)).any():
            attribute, slot = (int(i) for i in np.argwhere((self.sizes > 0) != (self.centroid_class >= 0))[0])
            raise ValueError(
                f"centroid_class: attribute {self.attributes[attribute]}, slot {slot}: used but empty, or the reverse"
            )

    def save(self, directory: Path) -> None:
        """Write clusters.npz and clusters.json."""
        directory.mkdir(parents=True, exist_ok=True)
        np.savez(directory / "clusters.npz", **{name: getattr(self, name) for name in _ARRAYS})
        facts = {"attributes": self.attributes, "empties": self.empties, "iterations": self.iterations}
        (directory / "clusters.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def load(cls, directory: Path) -> "Clusters":
        """Read what `save` wrote."""
        facts = json.loads((directory / "clusters.json").read_text())
        with np.load(directory / "clusters.npz") as arrays:
            fields = {name: arrays[name] for name in _ARRAYS}
        return cls(
            attributes=tuple(facts["attributes"]), empties=facts["empties"], iterations=facts["iterations"], **fields
        )

    def nmi(self, previous: "Clusters") -> float:
        """Normalised mutual information with an earlier clustering of the same rows: mean over the attributes, 0 to 1.

        Raises:
            ValueError: where the rows or attributes are not the same.
        """
        from sklearn.metrics import normalized_mutual_info_score

        if self.attributes != previous.attributes or not np.array_equal(self.rows, previous.rows):
            raise ValueError("nmi: expected two clusterings of the same rows under the same attributes")
        pairs = zip(self.assignment.T, previous.assignment.T, strict=True)
        return float(np.mean([normalized_mutual_info_score(now, before) for now, before in pairs]))


def cluster(
    blocks: Blocks,
    config: Cluster,
    *,
    attributes: Sequence[str],
    n_classes: int,
    seed: int,
    round: int,
    warm: Clusters | None = None,
) -> Clusters:
    """K-means of each class of each attribute.

    Args:
        blocks: an engine with the training rows; it also knows their labels.
        config: sizes, numbers and the end of Lloyd's loop.
        attributes: names of the label columns.
        n_classes: C, for all attributes.
        seed: of the run.
        round: of training.
        warm: the last round's clusters of the same rows: start from their means in the present features. None, or
            clusters of other rows: k-means++.

    Returns:
        Clusters without empty ones.

    Raises:
        ValueError: labels outside 0..C-1, features that are not finite, no rows.
    """
    source = blocks.source
    if len(attributes) != source.labels.shape[1]:
        raise ValueError(f"attributes: {len(attributes)} names for {source.labels.shape[1]} label columns")
    counts = class_counts(source.labels, n_classes)
    wanted = cluster_counts(counts, config.size, config.maximum, config.per_class)
    if warm is not None and warm.attributes == tuple(attributes) and np.array_equal(warm.rows, source.index):
        start = warm_start(source, warm.assignment, warm.centroid_class)
    else:
        start = coarse_start(source, wanted, seed, round, blocks.device)
    planned = int((start.classes >= 0).sum())
    fit = lloyd(blocks, start, config.iterations, config.tolerance)

    used = fit.counts > 0
    k = max(1, int(used.sum(1).max()))
    a = len(attributes)
    centroids = np.zeros((a, k, source.shape[2]), np.float32)
    classes = np.full((a, k), UNUSED, np.int8)
    sizes = np.zeros((a, k), np.int64)
    assignment = np.empty(fit.slots.shape, np.int32)
    for attribute in range(a):
        kept = np.flatnonzero(used[attribute])
        kept = kept[np.argsort(fit.centroids.classes[attribute, kept], kind="stable")]
        centroids[attribute, : len(kept)] = fit.centroids.values[attribute, kept]
        classes[attribute, : len(kept)] = fit.centroids.classes[attribute, kept]
        sizes[attribute, : len(kept)] = fit.counts[attribute, kept]
        place = np.zeros(used.shape[1], np.int32)
        place[kept] = np.arange(len(kept))
        assignment[:, attribute] = place[fit.slots[:, attribute]]
    return Clusters(
        attributes=tuple(attributes),
        assignment=assignment,
        rows=source.index,
        centroids=centroids,
        centroid_class=classes,
        sizes=sizes,
        inertia=fit.inertia,
        empties=planned - int(used.sum()),
        iterations=len(fit.history),
    )
