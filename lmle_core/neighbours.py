"""The training images nearest to a query in an attribute's embedding, found exactly by faiss."""

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from lmle_core.celeba.layout import DataError
from lmle_core.features import Features
from lmle_core.kmeans.faiss_blocks import one_faiss_thread
from lmle_core.store import TRAIN, ImageStore


@dataclass(frozen=True)
class Neighbours:
    """The k training images nearest to a query, the nearest first.

    Attributes:
        rows: int64 (k,), of the store.
        filenames: k names.
        distances: float32 (k,), Euclidean, 0 to 2.
        labels: int8 (k,), of the attribute, as annotated.
    """

    rows: np.ndarray
    filenames: tuple[str, ...]
    distances: np.ndarray
    labels: np.ndarray


def nearest(query: np.ndarray, attribute: str, store: ImageStore, features: Path, k: int) -> Neighbours:
    """Search all training images.

    Args:
        query: float32 (D,), the query's embedding under the attribute, unit length.
        attribute: one of the store's.
        store: the images that the run trained on.
        features: the artefact with their embeddings.
        k: how many; more than there are is all.

    Raises:
        DataError: if the embeddings are not those of the store's images, or of another network than the query's.
    """
    number = store.attributes.index(attribute)
    rows = store.rows(TRAIN)
    stored = Features.open(features)
    if len(stored) != store.n or stored.array.shape[2] != len(query):
        raise DataError(
            f"{features}: expected embeddings ({store.n}, attributes, {len(query)}), found {stored.array.shape}"
        )
    vectors = stored.of_attribute(rows, number)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    with one_faiss_thread():
        squares, found = index.search(query[None], min(k, len(rows)))
    chosen = rows[found[0]]
    return Neighbours(
        rows=chosen,
        filenames=tuple(store.filenames[row] for row in chosen),
        distances=np.sqrt(np.maximum(squares[0], 0)),
        labels=store.labels[chosen, number],
    )
