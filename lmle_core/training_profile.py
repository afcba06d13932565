"""What a model was trained on, in few numbers: names, class counts, mean embeddings, and how its centroids are used."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lmle_core.classifier import Classifier
from lmle_core.features import Features
from lmle_core.index import CentroidIndex
from lmle_core.store import ImageStore

FILE = "profile.npz"
BLOCK = 4096
"""Images whose embeddings are held at a time."""


@dataclass(frozen=True, eq=False)
class TrainingProfile:
    """Figures of n images as a model of A attributes and C classes sees them.

    Attributes:
        attributes: A names.
        names: (n,) file names of the images.
        class_counts: int64 (A, C), images of each class.
        means: float64 (A, d), the mean of the embeddings, which have unit length.
        occupancy: int64 (T,), images whose nearest centroid of its attribute it is; in the index's order.
        offsets: int64 (A + 1,), of the centroids of each attribute.
        people: how many persons they show; n where that is not known.
    """

    attributes: tuple[str, ...]
    names: NDArray[np.str_]
    class_counts: NDArray[np.int64]
    means: NDArray[np.float64]
    occupancy: NDArray[np.int64]
    offsets: NDArray[np.int64]
    people: int

    @classmethod
    def of(cls, store: ImageStore, rows: np.ndarray, embedded: Iterable[np.ndarray], index: CentroidIndex) -> Self:
        """The profile of some of a store's images.

        Args:
            store: the images.
            rows: of the n images, ascending.
            embedded: their embeddings, float32 (b, A, d), block by block.
            index: whose centroids are counted.

        Raises:
            ValueError: where the embeddings are fewer or more than the rows.

        Corner cases: a centroid that is as near as another one counts where its number is lower.
        """
        total, seen = np.zeros((len(index.attributes), index.dimensions)), 0
        occupancy = np.zeros(len(index.centroids), np.int64)
        for block in embedded:
            seen += len(block)
            total += block.sum(0, dtype=np.float64)
            for a in range(len(index.attributes)):
                low, high = index.offsets[a : a + 2]
                centroids = index.centroids[low:high]
                nearest = (block[:, a] @ centroids.T - 0.5 * (centroids**2).sum(1)).argmax(1)
                occupancy[low:high] += np.bincount(nearest, minlength=high - low)
        if seen != len(rows):
            raise ValueError(f"embedded: expected the embeddings of {len(rows)} images, got {seen}")
        labels = store.labels[rows]
        return cls(
            attributes=index.attributes,
            names=np.array([store.filenames[row] for row in rows], dtype=np.str_),
            class_counts=np.stack([(labels == c).sum(0) for c in range(index.n_classes)], axis=1).astype(np.int64),
            means=total / max(1, seen),
            occupancy=occupancy,
            offsets=index.offsets,
            people=len(rows) if store.identity is None else len(np.unique(store.identity[rows])),
        )

    @classmethod
    def of_features(cls, store: ImageStore, rows: np.ndarray, features: Path, index: CentroidIndex) -> Self:
        """From embeddings that a run has already."""
        artefact = Features.open(features)
        return cls.of(store, rows, (artefact.rows(part) for part in _parts(rows)), index)

    @classmethod
    def by(cls, classifier: Classifier, store: ImageStore, rows: np.ndarray) -> Self:
        """From pixels, by a classifier's network."""
        return cls.of(store, rows, (classifier.encoder(store.gather(part)) for part in _parts(rows)), classifier.index)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def spreads(self) -> NDArray[np.float64]:
        """(A,): how much of the sphere the embeddings use, √(1 − ‖mean‖²) for unit vectors (see `health.spread`)."""
        return np.sqrt(np.maximum(0, 1 - (self.means**2).sum(1)))

    def save(self, directory: Path) -> None:
        """Write `profile.npz`."""
        np.savez_compressed(directory / FILE, **{**vars(self), "attributes": np.array(self.attributes, dtype=np.str_)})

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """What `save` wrote; None where the model came without."""
        if not (directory / FILE).is_file():
            return None
        with np.load(directory / FILE) as arrays:
            values = dict(arrays)
        attributes = tuple(str(name) for name in values.pop("attributes"))
        people = int(values.pop("people", len(values["names"])))  # an earlier lmle did not count them
        return cls(attributes, **values, people=people)


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[low : low + BLOCK] for low in range(0, len(rows), BLOCK))
