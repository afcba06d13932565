"""The index: the centroids of all attributes in one faiss index, searched by attribute, decided by the rule."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.clusters import Clusters
from lmle_core.extremes import ClassExtremes
from lmle_core.kmeans.faiss_blocks import one_faiss_thread
from lmle_core.odds import log_odds
from lmle_core.rule import decide
from lmle_core.threads import in_threads

QUERIES = 256
"""Queries that are decided at a time: with 40 attributes, what a core's cache holds."""


@dataclass(frozen=True, eq=False)
class CentroidIndex:
    """Centroids of all attributes and how to decide by them.

    Attributes:
        attributes: names, A of them.
        n_classes: C, for all attributes.
        centroids: float32 (T, D), one attribute after the other.
        classes: int8 (T,), class of each centroid.
        offsets: int64 (A + 1,), attribute a has the rows offsets[a] to offsets[a + 1].
        neighbours: k nearest centroids that decide; 0: all.
        squared: whether the rule takes squared distances.
        rule_weight: of the rule's scores.
        odds_weight: of a classifier's log-odds beside them; 0: the rule alone.
        shares: float32 (A, C), of each class in training, which the log-odds are free of; None where they have no
            weight.
        biases: float32 (A, C), added to the scores of each class; None: none.
        candidates: what was compared on the validation split: clusters_per_class, neighbours, balanced_accuracy.

    Raises:
        ValueError: where shapes or types do not fit each other, or an attribute has no centroid.
    """

    attributes: tuple[str, ...]
    n_classes: int
    centroids: NDArray[np.float32]
    classes: NDArray[np.int8]
    offsets: NDArray[np.int64]
    neighbours: int = 0
    squared: bool = False
    rule_weight: float = 1.0
    odds_weight: float = 0.0
    shares: NDArray[np.float32] | None = None
    biases: NDArray[np.float32] | None = None
    candidates: tuple[dict[str, float], ...] = ()
    _index: Any = field(init=False, repr=False)
    _extremes: ClassExtremes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.centroids.ndim != 2 or self.centroids.dtype != np.float32:
            raise ValueError(f"centroids: expected float32 (T, D), found {self.centroids.dtype} {self.centroids.shape}")
        if self.classes.shape != (len(self.centroids),):
            raise ValueError(f"classes: expected ({len(self.centroids)},), found {self.classes.shape}")
        if len(self.classes) and not 0 <= self.classes.min() <= self.classes.max() < self.n_classes:
            raise ValueError(
                f"classes: expected 0 to {self.n_classes - 1}, found {self.classes.min()} to {self.classes.max()}"
            )
        if (
            len(self.offsets) != len(self.attributes) + 1
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.centroids)
        ):
            raise ValueError(
                f"offsets: expected {len(self.attributes) + 1} from 0 to {len(self.centroids)}, found {self.offsets}"
            )
        if (np.diff(self.offsets) < 1).any():
            raise ValueError(f"attribute {self.attributes[int(np.diff(self.offsets).argmin())]} has no centroid")
        for name, value, needed in (("shares", self.shares, self.odds_weight != 0), ("biases", self.biases, False)):
            shape = None if value is None else value.shape
            if shape != (len(self.attributes), self.n_classes) and (needed or shape is not None):
                raise ValueError(f"{name}: expected ({len(self.attributes)}, {self.n_classes}), found {shape}")
        index = faiss.IndexFlatL2(self.centroids.shape[1])
        index.add(np.ascontiguousarray(self.centroids))
        object.__setattr__(self, "_index", index)
        extremes = ClassExtremes(self.centroids, self.classes, self.offsets, self.n_classes)
        object.__setattr__(self, "_extremes", extremes)

    @classmethod
    def of(cls, clusters: Clusters, n_classes: int, *, neighbours: int = 0, squared: bool = False) -> "CentroidIndex":
        """The centroids of a clustering."""
        used = clusters.centroid_class >= 0
        return cls(
            attributes=clusters.attributes,
            n_classes=n_classes,
            centroids=clusters.centroids[used],
            classes=clusters.centroid_class[used],
            offsets=np.concatenate([[0], used.sum(1).cumsum()]).astype(np.int64),
            neighbours=neighbours,
            squared=squared,
        )

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self.centroids.shape[1])

    def search(
        self, attribute: int, embeddings: NDArray[np.float32], k: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest centroids of one attribute.

        Args:
            attribute: its position in `attributes`.
            embeddings: float32 (n, D).
            k: how many; 0: all; None: the index's own `neighbours`. More than there are is all.

        Returns:
            Distances float32 (n, k), rising, in the rule's units; rows of `centroids` int64 (n, k).
        """
        lo, hi = (int(offset) for offset in self.offsets[attribute : attribute + 2])
        k = self.neighbours if k is None else k
        k = min(k, hi - lo) if k else hi - lo
        chosen = faiss.SearchParameters(sel=faiss.IDSelectorRange(lo, hi))  # type: ignore[call-arg]
        with one_faiss_thread():
            distances, found = self._index.search(np.ascontiguousarray(embeddings), k, params=chosen)
        np.maximum(distances, 0, out=distances)
        return distances if self.squared else np.sqrt(distances), found

    def classify(
        self, embeddings: NDArray[np.float32], logits: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Label and margin of each query under each attribute.

        Args:
            embeddings: float32 (n, G, D), G = A or 1, of unit length.
            logits: float32 (n, A, C), of the network's classifier; needed where `odds_weight` is not 0.

        Returns:
            labels int8 (n, A), margins float32 (n, A), at least 0.

        Raises:
            ValueError: embeddings of another shape, or off the unit sphere; logits that are missing.
        """
        self._check(embeddings)
        if self.odds_weight or self.biases is not None or self.rule_weight != 1:
            best = np.partition(scores := self.scores(embeddings, logits), -2, axis=-1)
            return scores.argmax(-1).astype(np.int8), best[..., -1] - best[..., -2]
        labels, margins = self.decisions(embeddings, (self.neighbours,))
        return labels[0], margins[0]

    def scores(self, embeddings: NDArray[np.float32], logits: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Each class's score, by which `classify` decides: the large-margin rule's, and what stands beside it.

            v score_c + w (log p_c − log π_c) + b_c

        Args:
            embeddings: as of `classify`.
            logits: as of `classify`.

        Returns:
            Shape (n, A, C), float32; its argmax is the label.

        Raises:
            ValueError: as of `classify`.

        Source: `lmle_core.rule.decide`.

        Corner cases: where rounding to float32 makes a lower class's score equal to the label's, the label's is the
        next larger number.
        """
        self._check(embeddings)
        found = np.empty((len(embeddings), len(self.attributes), self.n_classes), np.float32)

        def one(lo: int) -> None:
            part = slice(lo, lo + QUERIES)
            queries = torch.from_numpy(np.require(embeddings[part], requirements="W"))
            (extremes,) = self._extremes(queries, (self.neighbours,), squared=self.squared)
            decided, _, by_class = decide(*(each.unbind(1) for each in extremes), squared=self.squared)
            values = torch.stack(by_class, -1).float().numpy()
            attribute, query = np.nonzero(values.argmax(-1) != decided.numpy())
            labels = decided.numpy()[attribute, query]
            values[attribute, query, labels] = np.nextafter(values[attribute, query].max(-1), np.float32(np.inf))
            found[part] = values.transpose(1, 0, 2)

        for _ in in_threads(one, range(0, len(embeddings), QUERIES), torch.device("cpu")):
            pass
        found *= np.float32(self.rule_weight)
        if self.odds_weight:
            if logits is None or logits.shape != found.shape:
                raise ValueError(
                    f"logits: this index weighs the classifier's log-odds and needs its logits {found.shape}, found "
                    f"{None if logits is None else logits.shape}"
                )
            assert self.shares is not None
            found += np.float32(self.odds_weight) * log_odds(logits, self.shares)
        return found if self.biases is None else found + self.biases

    def _check(self, embeddings: NDArray[np.float32]) -> None:
        a = len(self.attributes)
        if embeddings.ndim != 3 or embeddings.shape[1] not in (1, a) or embeddings.shape[2] != self.dimensions:
            raise ValueError(f"embeddings: expected (n, {a} or 1, {self.dimensions}), found {embeddings.shape}")

    def decisions(
        self, embeddings: NDArray[np.float32], neighbours: Sequence[int]
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Labels and margins of the rule alone for each k, each (len(neighbours), n, A)."""
        shape = len(neighbours), len(embeddings), len(self.attributes)
        labels, margins = np.empty(shape, np.int8), np.empty(shape, np.float32)

        def one(lo: int) -> None:
            part = slice(lo, lo + QUERIES)
            queries = torch.from_numpy(np.require(embeddings[part], requirements="W"))  # torch has no read-only tensors
            for number, extremes in enumerate(self._extremes(queries, neighbours, squared=self.squared)):
                decided, margin, _ = decide(*(each.unbind(1) for each in extremes), squared=self.squared)
                labels[number, part], margins[number, part] = decided.T, margin.T

        for _ in in_threads(one, range(0, len(embeddings), QUERIES), torch.device("cpu")):
            pass
        return labels, margins

    def save(self, directory: Path) -> None:
        """Write centroids.faiss (faiss's own format), centroids.npz and manifest.json."""
        directory.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(directory / "centroids.faiss"))
        owner = np.repeat(np.arange(len(self.attributes), dtype=np.int16), np.diff(self.offsets))
        np.savez(directory / "centroids.npz", centroids=self.centroids, classes=self.classes, attribute=owner)
        manifest = {
            "attributes": self.attributes,
            "classes": self.n_classes,
            "dimensions": self.dimensions,
            "distance": "squared Euclidean" if self.squared else "Euclidean",
            "neighbours": self.neighbours,
            "rule_weight": self.rule_weight,
            "odds_weight": self.odds_weight,
            "shares": None if self.shares is None else self.shares.tolist(),
            "biases": None if self.biases is None else self.biases.tolist(),
            "ranges": [[int(lo), int(hi)] for lo, hi in zip(self.offsets[:-1], self.offsets[1:], strict=True)],
            "candidates": self.candidates,
        }
        (directory / "manifest.json").write_text(json.dumps(manifest, indent=1))

    @classmethod
    def load(cls, directory: Path) -> "CentroidIndex":
        """Read what `save` wrote. Raises ValueError where faiss's file and the arrays disagree."""
        manifest = json.loads((directory / "manifest.json").read_text())
        with np.load(directory / "centroids.npz") as arrays:
            centroids, classes = arrays["centroids"], arrays["classes"]
        stored = faiss.read_index(str(directory / "centroids.faiss"))
        if stored.ntotal != len(centroids) or not np.array_equal(stored.reconstruct_n(0, stored.ntotal), centroids):
            raise ValueError(
                f"{directory}: centroids.faiss and centroids.npz hold different centroids: rebuild the index"
            )
        return cls(
            attributes=tuple(manifest["attributes"]),
            n_classes=manifest["classes"],
            centroids=centroids,
            classes=classes,
            offsets=np.array([0, *(hi for _, hi in manifest["ranges"])], np.int64),
            neighbours=manifest["neighbours"],
            squared=manifest["distance"].startswith("squared"),
            rule_weight=manifest.get("rule_weight", 1.0),  # an index of before decision 7 has neither
            odds_weight=manifest["odds_weight"],
            shares=_array(manifest["shares"]),
            biases=_array(manifest.get("biases")),
            candidates=tuple(manifest["candidates"]),
        )


def _array(values: Sequence[Sequence[float]] | None) -> NDArray[np.float32] | None:
    return None if values is None else np.array(values, np.float32)
