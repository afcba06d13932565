"""The nearest training images are those of a full scan, and of the training split alone; the grid shows them."""

from pathlib import Path

import numpy as np
import pytest

from lmle_core.celeba.layout import DataError
from lmle_core.features import Features
from lmle_core.figures import neighbour_grid
from lmle_core.neighbours import nearest
from lmle_core.store import ImageStore


@pytest.fixture(scope="module")
def features(faces_store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random unit vectors for every image and attribute."""
    directory = tmp_path_factory.mktemp("features")
    values = np.random.default_rng(0).normal(size=(faces_store.n, 3, 8)).astype(np.float32)
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    Features.create(directory, faces_store.n, (3, 8), faces_store.shard).array[:] = values
    return directory


def test_they_are_those_of_a_full_scan(faces_store: ImageStore, features: Path) -> None:
    values = Features.open(features).array[:].astype(np.float64)
    train = faces_store.rows(0)
    query = values[faces_store.rows(2)[0], 1].astype(np.float32)
    scan = np.linalg.norm(values[train, 1] - query, axis=1)
    order = np.argsort(scan)
    for k in (1, 7, 10_000):
        found = nearest(query, "Smiling", faces_store, features, k)
        assert found.rows.tolist() == train[order[:k]].tolist()
        np.testing.assert_allclose(found.distances, scan[order[:k]], atol=1e-5)
        assert found.labels.tolist() == faces_store.labels[found.rows, 1].tolist()
        assert list(found.filenames) == [faces_store.filenames[row] for row in found.rows]
    with pytest.raises(DataError, match=r"expected embeddings \(160, attributes, 5\)"):
        nearest(query[:5], "Smiling", faces_store, features, 1)


@pytest.mark.parametrize("k", [1, 4, 8])
def test_the_grid_shows_the_query_first_and_every_neighbour_once(k: int) -> None:
    faces = np.random.default_rng(0).integers(256, size=(k + 1, 3, 9, 8), dtype=np.uint8)
    labels = [number % 2 for number in range(k)]
    figure = neighbour_grid("Wearing_Hat", faces[0], "found 1, margin 0.20", faces[1:], labels, [0.1] * k)
    drawn = [axes for axes in figure.axes if axes.images]
    for axes, face in zip(drawn, faces, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), face.transpose(1, 2, 0))
    assert drawn[0].get_xlabel() == "found 1, margin 0.20"
    assert [axes.get_xlabel() for axes in drawn[1:]] == [f"{label}, D 0.100" for label in labels]
    colors = {tuple(axes.spines["top"].get_edgecolor()) for axes in drawn[1:]}
    assert len(colors) == min(k, 2)
