"""Assignment and sums equal a float64 loop; a row goes to its class alone; ties go to the lowest slot."""

import numpy as np
import pytest
import torch

from lmle_core.kmeans import ArrayRows, Centroids
from lmle_core.kmeans.assignment import assign_block, prepare_centroids
from lmle_core.kmeans.centroids import Partial, update
from tests.lmle_core.kmeans.random_rows import random_centroids, random_rows, slots_by_loop

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def _assign(source: ArrayRows, centroids: Centroids, device: str) -> tuple[Partial, np.ndarray]:
    where = torch.device(device)
    features, labels = torch.tensor(source.array, device=where), torch.tensor(source.labels, device=where)
    total, slots = assign_block(features, labels, prepare_centroids(centroids, where))
    return total.partial(), slots.cpu().numpy()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_a_block_equals_the_loop(device: str, shared: bool, classes: int) -> None:
    source = random_rows(60, 3, 5, classes=classes, shared=shared)
    centroids = random_centroids(source, 4, classes)
    partial, slots = _assign(source, centroids, device)
    expected, distances = slots_by_loop(source, centroids)
    np.testing.assert_array_equal(slots, expected)
    np.testing.assert_allclose(partial.inertia, distances.sum(0), rtol=1e-5)
    for attribute in range(3):
        rows = source.array[:, 0 if shared else attribute].astype(np.float64)
        for slot in range(centroids.values.shape[1]):
            mine = expected[:, attribute] == slot
            assert partial.counts[attribute, slot] == mine.sum()
            np.testing.assert_allclose(partial.sums[attribute, slot], rows[mine].sum(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_ties_go_to_the_lowest_slot_of_the_class(device: str) -> None:
    labels = np.array([[0], [1]], np.int8)
    values = np.array([[[1, 0], [0, 1], [0, 1], [0, 1], [0, 1]]], np.float32)  # exact in float32
    centroids = Centroids(values, np.array([[0, -1, 1, 0, 1]], np.int8))
    rows = ArrayRows(np.array([[[1, 1]], [[1, 1]]], np.float32), labels)
    _, slots = _assign(rows, centroids, device)
    assert slots.ravel().tolist() == [0, 2]


def test_a_slot_without_rows_becomes_unused_and_keeps_a_finite_place() -> None:
    centroids = Centroids(np.ones((1, 2, 2), np.float32), np.array([[0, 1]], np.int8))
    partial = Partial(np.array([[[2.0, 4.0], [0.0, 0.0]]]), np.array([[2, 0]]), np.zeros(1))
    moved, fall = update(centroids, partial)
    assert fall.tolist() == [2 * (0 + 1)]
    assert moved.values.tolist() == [[[1, 2], [1, 1]]]
    assert moved.classes.tolist() == [[0, -1]]


def test_centroids_are_checked() -> None:
    with pytest.raises(ValueError, match="attribute 0, slot 1 is not finite"):
        Centroids(np.array([[[0], [np.nan]]], np.float32), np.zeros((1, 2), np.int8))
    with pytest.raises(ValueError, match="centroid classes"):
        Centroids(np.zeros((1, 2, 3), np.float32), np.zeros((1, 3), np.int8))
