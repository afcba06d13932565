"""The clustering stage: what it returns, keeps on disk, and drops."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmle_core import config
from lmle_core.clusters import Clusters, cluster
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from tests.lmle_core.kmeans.random_rows import random_rows

NAMES = ("Bald", "Smiling", "Young")
SETTINGS = config.Cluster(size=50)


def _cluster(source: ArrayRows, settings: config.Cluster = SETTINGS, warm: Clusters | None = None) -> Clusters:
    names = NAMES[: source.labels.shape[1]]
    return cluster(TorchBlocks(source), settings, attributes=names, n_classes=3, seed=0, round=0, warm=warm)


def test_clusters_lie_within_classes_and_are_means_of_their_rows() -> None:
    source = random_rows(600, 3, 5, classes=3)
    rows = np.arange(600) * 2
    source = ArrayRows(np.repeat(source.array, 2, axis=0), source.labels, rows)
    found = _cluster(source, config.Cluster(size=50, iterations=200, tolerance=0))
    np.testing.assert_array_equal(found.rows, rows)
    columns = np.arange(3)
    np.testing.assert_array_equal(found.centroid_class[columns, found.assignment], source.labels)
    for attribute in range(3):
        used = found.centroid_class[attribute] >= 0
        assert (np.diff(found.centroid_class[attribute, used]) >= 0).all()  # by class, the unused ones last
        assert (np.diff(used.astype(int)) <= 0).all()
        for slot in np.flatnonzero(used):
            own = source.array[rows[found.assignment[:, attribute] == slot], attribute]
            np.testing.assert_allclose(found.centroids[attribute, slot], own.mean(0), atol=1e-5)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    found = _cluster(random_rows(200, 2, 4, classes=3))
    found.save(tmp_path)
    again = Clusters.load(tmp_path)
    for name, value in vars(found).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_emptied_clusters_are_dropped_and_counted() -> None:
    rows = np.repeat(np.array([[[0.0, 1.0]], [[1.0, 0.0]]], np.float32), 50, axis=0)  # two distinct points, K = 4
    source = ArrayRows(rows, np.zeros((100, 1), np.int8))
    found = _cluster(source, config.Cluster(per_class=4))
    assert found.empties == 2
    assert found.sizes.tolist() == [[50, 50]]
    assert found.inertia.tolist() == [0]


def test_small_and_absent_classes() -> None:
    source = random_rows(100, 1, 4)
    labels = np.zeros((100, 1), np.int8)
    labels[17] = 2  # one row of class 2, none of class 1
    found = _cluster(ArrayRows(source.array, labels))
    assert found.centroid_class.tolist() == [[0, 0, 2]]
    assert np.flatnonzero(found.assignment == 2).tolist() == [17]
    np.testing.assert_array_equal(found.centroids[0, 2], source.array[17, 0])


def test_a_warm_start_keeps_the_clusters_of_features_that_stayed() -> None:
    source = random_rows(400, 2, 6, classes=3)
    settled = config.Cluster(size=50, iterations=300, tolerance=0)
    first = _cluster(source, settled)
    again = _cluster(source, settled, warm=first)
    np.testing.assert_array_equal(first.assignment, again.assignment)
    assert again.iterations <= 2
    assert again.nmi(first) == pytest.approx(1)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0].astype(np.float32)
    turned = _cluster(ArrayRows(source.array @ rotation, source.labels), settled, warm=first)
    assert turned.nmi(first) == pytest.approx(1)  # a turn of the whole space moves no cluster
    other = ArrayRows(source.array[:300], source.labels[:300])
    assert _cluster(other, settled, warm=first).rows.shape == (300,)  # other rows: a start of its own


def test_nmi_is_that_of_the_attributes_meaned_and_refuses_other_rows() -> None:
    found = _cluster(random_rows(400, 2, 6, classes=3))
    swapped = replace(found, assignment=found.assignment.copy())
    generator = np.random.default_rng(0)
    swapped.assignment[:, 0] = generator.permutation(swapped.assignment[:, 0])
    assert 0.5 < found.nmi(swapped) < 0.6  # one attribute the same, one unrelated
    with pytest.raises(ValueError, match="same rows"):
        found.nmi(replace(found, rows=found.rows + 1))


def test_a_wrong_array_is_refused() -> None:
    found = _cluster(random_rows(200, 2, 4, classes=3))
    sizes = found.sizes.copy()
    sizes[1, 2] += 1
    with pytest.raises(ValueError, match=f"attribute Smiling, slot 2: expected the {sizes[1, 2] - 1} rows"):
        replace(found, sizes=sizes)
    with pytest.raises(ValueError, match="assignment: expected int32"):
        replace(found, assignment=found.assignment.astype(np.int64))
    with pytest.raises(ValueError, match="assignment: expected slots"):
        replace(found, assignment=found.assignment + np.int32(99))
    with pytest.raises(ValueError, match="centroid_class: attribute Bald, slot 0"):
        classes = found.centroid_class.copy()
        classes[0, 0] = -1
        replace(found, centroid_class=classes)
    with pytest.raises(ValueError, match="1 names for 2 label columns"):
        cluster(TorchBlocks(random_rows(20, 2, 4)), SETTINGS, attributes=("Bald",), n_classes=2, seed=0, round=0)
