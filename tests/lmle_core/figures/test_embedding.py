"""The embedding's map is its principal components; the grid shows the faces that it was given."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from lmle_core.figures import EmbeddingPanel, FaceRow, embedding_map, face_grid
from lmle_core.figures.embedding import _principal


def panel(n: int = 200, dimensions: int = 6, classes: int = 2) -> EmbeddingPanel:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(n, dimensions)) * np.arange(1, dimensions + 1)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    centroid_classes = np.arange(4) % classes
    return EmbeddingPanel("Bald", embeddings, np.arange(n) % classes, embeddings[:4], centroid_classes)


def test_components_are_scikit_learns_up_to_their_sign() -> None:
    made = panel()
    points, centroids, shares = _principal(made.embeddings, made.centroids)
    reference = PCA(2, svd_solver="full").fit(made.embeddings)
    np.testing.assert_allclose(np.abs(points), np.abs(reference.transform(made.embeddings)), atol=1e-9)
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, atol=1e-12)
    np.testing.assert_allclose(centroids, points[:4], atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_every_image_is_drawn_once_and_the_smallest_class_last(classes: int) -> None:
    made = panel(classes=classes)
    labels = np.where(np.arange(200) < 10, 0, 1 + np.arange(200) % (classes - 1))
    figure = embedding_map([EmbeddingPanel("Bald", made.embeddings, labels, made.centroids, made.centroid_classes)] * 3)
    counts = [len(np.asarray(drawn.get_offsets())) for drawn in figure.axes[0].collections[:classes]]
    assert sum(counts) == 200
    assert counts[-1] == 10
    assert not figure.axes[3].axison


def test_a_point_cloud_of_one_dimension_or_one_point_is_drawn() -> None:
    for embeddings in (np.ones((5, 3)), np.linspace(0, 1, 5)[:, None]):
        points, _, shares = _principal(embeddings, embeddings[:1])
        assert np.isfinite(points).all()
        assert points.shape == (5, 2)
        assert np.isfinite(shares).all()


def test_the_grid_shows_queries_and_neighbours_with_their_margins() -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(256, size=(6, 3, 9, 8), dtype=np.uint8)
    rows = [
        FaceRow("Wearing_Hat", faces[0], 1, 0, 0.25, faces[1:4], np.array([0, 1, 2]), np.array([0.1, 0.2, 0.3])),
        FaceRow("Bald", faces[4], 0, 0, np.inf, faces[5:], np.array([0]), np.array([0.5])),
    ]
    grid = np.array(face_grid(rows).axes).reshape(2, 4)
    np.testing.assert_array_equal(grid[0, 0].images[0].get_array(), faces[0].transpose(1, 2, 0))
    np.testing.assert_array_equal(grid[0, 3].images[0].get_array(), faces[3].transpose(1, 2, 0))
    assert grid[0, 0].get_ylabel() == "Wearing Hat\nmargin 0.25"
    assert grid[0, 0].get_xlabel() == "label 1, found 0"
    assert grid[0, 2].get_xlabel() == "class 1, D 0.20"
    assert not grid[1, 3].axison
