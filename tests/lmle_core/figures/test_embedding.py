"""The embedding's map parts the classes as far as their means; the grid shows the faces that it was given."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from lmle_core.figures import EmbeddingPanel, FaceRow, embedding_map, face_grid
from lmle_core.figures.embedding import _plane


def panel(n: int = 200, dimensions: int = 6, classes: int = 2) -> EmbeddingPanel:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(n, dimensions)) * np.arange(1, dimensions + 1)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    centroid_classes = np.arange(4) % classes
    return EmbeddingPanel("Bald", embeddings, np.arange(n) % classes, embeddings[:4], centroid_classes)


def test_two_classes_part_along_the_first_axis_as_far_as_their_means() -> None:
    made = panel()
    points, centroids = _plane(made.embeddings, made.labels, made.centroids)
    means = [made.embeddings[made.labels == c].mean(0) for c in (0, 1)]
    drawn = [points[made.labels == c].mean(0) for c in (0, 1)]
    np.testing.assert_allclose(drawn[1][0] - drawn[0][0], np.linalg.norm(means[1] - means[0]), atol=1e-9)
    np.testing.assert_allclose(drawn[1][1], drawn[0][1], atol=1e-9)
    np.testing.assert_allclose(centroids, points[:4], atol=1e-12)


def test_the_second_axis_is_scikit_learns_first_component_of_what_the_first_leaves() -> None:
    made = panel()
    points, _ = _plane(made.embeddings, made.labels, made.centroids)
    direction = made.embeddings[made.labels == 1].mean(0) - made.embeddings[made.labels == 0].mean(0)
    direction /= np.linalg.norm(direction)
    rest = made.embeddings - np.outer(made.embeddings @ direction, direction)
    reference = PCA(1, svd_solver="full").fit_transform(rest)[:, 0]
    found = points[:, 1] - points[:, 1].mean()
    np.testing.assert_allclose(np.abs(found), np.abs(reference), atol=1e-9)


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
        for labels in (np.zeros(5, int), np.arange(5) % 2):
            points, _ = _plane(embeddings, labels, embeddings[:1])
            assert np.isfinite(points).all()
            assert points.shape == (5, 2)


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
