"""Lloyd's loop against scikit-learn's and faiss's, and what must hold for any labels."""

import faiss
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from lmle_core import config
from lmle_core.clusters import cluster
from lmle_core.kmeans import ArrayRows, Blocks, Centroids, lloyd
from lmle_core.kmeans.faiss_blocks import FaissBlocks
from lmle_core.kmeans.torch_blocks import TorchBlocks
from tests.lmle_core.kmeans.random_rows import first_centroids, random_rows


def _start(source: ArrayRows, per_class: int, classes: int = 2) -> Centroids:
    return first_centroids(source, per_class, classes)


def test_every_class_equals_scikit_learn_from_the_same_start() -> None:
    source = random_rows(2000, 3, 6, classes=3)
    start = _start(source, 4, classes=3)
    fit = lloyd(TorchBlocks(source, block=300), start, iterations=300, tolerance=0)
    for attribute in range(3):
        inertia = 0.0
        for label in range(3):
            owned = np.flatnonzero(start.classes[attribute] == label)
            members = np.flatnonzero(source.labels[:, attribute] == label)
            peer = KMeans(len(owned), init=start.values[attribute, owned], n_init=1, max_iter=300, tol=0)
            rows = np.ascontiguousarray(source.array[members, attribute])
            np.testing.assert_array_equal(owned[peer.fit_predict(rows)], fit.slots[members, attribute])
            np.testing.assert_allclose(
                fit.centroids.values[attribute, owned], peer.cluster_centers_, rtol=1e-4, atol=1e-5
            )
            inertia += peer.inertia_
        np.testing.assert_allclose(fit.inertia[attribute], inertia, rtol=1e-4)


def test_inertia_is_as_low_as_faiss_finds() -> None:
    source = random_rows(3000, 1, 8, classes=1)
    fit = lloyd(TorchBlocks(source), _start(source, 16, classes=1), iterations=50, tolerance=0)
    peer = faiss.Kmeans(8, 16, niter=50, seed=1, max_points_per_centroid=10_000)
    peer.train(np.ascontiguousarray(source.array[:, 0]))
    assert peer.obj is not None
    assert fit.inertia[0] <= 1.05 * peer.obj[-1]


@pytest.mark.parametrize("size", [40, 300])
def test_inertia_is_scikit_learns_within_two_percent(size: int) -> None:
    source = random_rows(8000, 2, 16, classes=2)
    found = cluster(TorchBlocks(source), config.Cluster(size=size), attributes=("a", "b"), n_classes=2, seed=0, round=0)
    for attribute in range(2):
        peers = 0.0
        for label in range(2):
            rows = np.ascontiguousarray(source.array[source.labels[:, attribute] == label, attribute])
            clusters = int((found.centroid_class[attribute] == label).sum())
            peers += KMeans(clusters, n_init=1, random_state=0).fit(rows).inertia_
        assert found.inertia[attribute] <= 1.02 * peers


@settings(max_examples=40)
@example(n=45, attributes=2, classes=1, per_class=1, shared=True, distinct=1, seed=24324)
@given(
    n=st.integers(1, 60),
    attributes=st.integers(1, 3),
    classes=st.integers(1, 4),
    per_class=st.integers(1, 6),
    shared=st.booleans(),
    distinct=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_invariants(
    n: int, attributes: int, classes: int, per_class: int, shared: bool, distinct: int, seed: int
) -> None:
    source = random_rows(n, attributes, 3, classes=classes, shared=shared, seed=seed)
    repeated = source.array[np.arange(n) % distinct]  # few distinct points: duplicates, ties and emptied slots
    source = ArrayRows(np.ascontiguousarray(repeated), source.labels)
    fit = lloyd(TorchBlocks(source, block=7), _start(source, per_class, classes), iterations=10, tolerance=0)
    rounding = 4 * n * attributes * float(np.finfo(np.float32).eps)  # of squared distances of unit vectors
    limits = [before * (1 + 1e-6) + rounding for before in fit.history]
    assert all(now <= limit for limit, now in zip(limits, fit.history[1:], strict=False))
    assert fit.inertia.sum() <= limits[-1]
    columns = np.arange(attributes)
    np.testing.assert_array_equal(fit.centroids.classes[columns, fit.slots], source.labels)
    assert (fit.counts.sum(1) == n).all()
    assert ((fit.counts > 0) == (fit.centroids.classes >= 0)).all()
    for attribute in columns:
        own = fit.centroids.values[attribute, fit.slots[:, attribute]].astype(np.float64)
        squares = (source.array[:, 0 if shared else attribute] - own) ** 2
        np.testing.assert_allclose(fit.inertia[attribute], squares.sum(), rtol=1e-5, atol=1e-5)


def test_an_emptied_slot_stays_unused() -> None:
    rows = np.array([[[0.0]], [[1.0]]], np.float32)
    source = ArrayRows(rows, np.zeros((2, 1), np.int8))
    far = Centroids(np.array([[[0.0], [9.0], [1.0]]], np.float32), np.zeros((1, 3), np.int8))
    fit = lloyd(TorchBlocks(source), far, iterations=5, tolerance=0)
    assert fit.centroids.classes.tolist() == [[0, -1, 0]]
    assert fit.slots.ravel().tolist() == [0, 2]


def test_it_stops_by_tolerance_and_by_iterations() -> None:
    source = random_rows(500, 2, 4)
    start = _start(source, 5)
    full = lloyd(TorchBlocks(source), start, iterations=100, tolerance=0).history
    assert len(lloyd(TorchBlocks(source), start, iterations=3, tolerance=0).history) == 3
    loose = lloyd(TorchBlocks(source), start, iterations=100, tolerance=0.05).history
    assert loose == full[: len(loose)]
    assert len(loose) < len(full)
    assert full[len(loose) - 1] - full[len(loose)] <= 0.05 * full[len(loose) - 1]


@pytest.mark.parametrize("engine", [TorchBlocks, FaissBlocks])
def test_features_that_are_not_finite_are_named(engine: type[TorchBlocks] | type[FaissBlocks]) -> None:
    source = random_rows(50, 3, 4)
    start = _start(source, 2)
    source.array[7, 1, 2] = np.nan
    blocks: Blocks = engine(source)
    with pytest.raises(ValueError, match="attribute 1 are not finite"):
        lloyd(blocks, start, iterations=5, tolerance=0)
