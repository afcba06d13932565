"""First centroids: how many, from which rows, and the same for the same seed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.kmeans import ArrayRows, Centroids
from lmle_core.kmeans.coarse import coarse_start, sample
from lmle_core.kmeans.seeding import class_counts, cluster_counts, plus_plus, uniform_draws, warm_start
from tests.lmle_core.kmeans.random_rows import random_rows


@pytest.mark.parametrize(
    ("rows", "clusters"), [(0, 0), (1, 1), (2, 2), (199, 2), (299, 2), (350, 3), (999, 9), (10_000, 12)]
)
def test_a_class_has_about_one_cluster_for_each_hundred_rows(rows: int, clusters: int) -> None:
    assert cluster_counts(np.array(rows), 100, 12).item() == clusters


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(1, 20))
def test_per_class_gives_every_class_as_many_unless_it_is_smaller(rows: list[int], per_class: int) -> None:
    assert cluster_counts(np.array(rows), 1, 2, per_class).tolist() == [min(n, per_class) for n in rows]


def _start(source: ArrayRows, clusters: list[list[int]], seed: int = 0, number: int = 0) -> Centroids:
    return coarse_start(source, np.array(clusters), seed, number, torch.device("cpu"))


def test_first_centroids_are_rows_of_their_class() -> None:
    source = random_rows(300, 3, 4, classes=3)
    clusters = np.array([[2, 1, 3], [1, 1, 1], [4, 1, 2]])
    draws = torch.from_numpy(uniform_draws(clusters, 0, 0))
    found = plus_plus(torch.from_numpy(source.array), torch.from_numpy(source.labels), clusters, draws, 7).numpy()
    classes = _start(source, clusters.tolist()).classes
    assert classes.tolist() == [[0, 0, 1, 2, 2, 2, -1], [0, 1, 2, -1, -1, -1, -1], [0, 0, 0, 0, 1, 2, 2]]
    for attribute, slot in np.argwhere(classes >= 0):
        members = source.array[source.labels[:, attribute] == classes[attribute, slot], attribute]
        assert (members == found[attribute, slot]).all(1).any()


def test_a_rare_class_starts_from_its_own_rows() -> None:
    source = random_rows(8000, 1, 4)
    source.labels[:, 0] = np.isin(np.arange(8000), (17, 4444))
    start = _start(source, [[6, 2]])
    found, rows = start.values[0, start.classes[0] == 1], source.array[[17, 4444], 0]
    np.testing.assert_allclose(found[found[:, 0].argsort()], rows[rows[:, 0].argsort()], atol=1e-3)


def test_the_next_centroid_is_the_candidate_that_lowers_the_inertia_most() -> None:
    source = random_rows(50, 1, 3, classes=1)
    draws = uniform_draws(np.array([[3]]), 5, 0)
    rows = source.array[:, 0].astype(np.float64)
    closest, expected = np.ones(50), []
    for step in range(3):
        tried = np.searchsorted(closest.cumsum(), draws[0, 0, step] * closest.sum(), side="right")
        nearer = [np.minimum(((rows - rows[pick]) ** 2).sum(1), closest if step else np.inf) for pick in tried]
        best = int(np.argmin([distances.sum() for distances in nearer]))
        closest = nearer[best]
        expected.append(rows[tried[best]])
    features, labels = torch.from_numpy(source.array), torch.from_numpy(source.labels)
    found = plus_plus(features, labels, np.array([[3]]), torch.from_numpy(draws), 3)
    np.testing.assert_array_equal(found[0].numpy(), np.array(expected, np.float32))


def test_every_class_is_sampled_by_its_clusters() -> None:
    source = random_rows(4000, 2, 4)
    source.labels[:, 1] = np.arange(4000) % 40 == 0  # 100 rows of class 1
    found = sample(source, np.array([[2, 1], [1, 2]]), 256)
    features, labels = found.array, found.labels
    assert features.shape == (3 * 256, 2, 4)
    assert (labels == 1).sum(0).tolist() == [256, 100]
    for attribute in range(2):
        for label in range(2):
            members = source.array[source.labels[:, attribute] == label, attribute]
            taken = features[labels[:, attribute] == label, attribute]
            assert len(np.unique(taken, axis=0)) == len(taken)
            assert all((members == row).all(1).any() for row in taken[::50])


def test_the_seed_and_the_round_draw_apart() -> None:
    source = random_rows(1000, 2, 4)
    wanted = [[3, 3], [3, 3]]
    first = _start(source, wanted)
    assert _start(source, wanted).values.tobytes() == first.values.tobytes()
    for seed, number in ((1, 0), (0, 1)):
        other = _start(source, wanted, seed, number)
        assert (other.values != first.values).any(-1).mean() > 0.5


def test_no_bit_of_a_start_depends_on_the_threads() -> None:
    source = random_rows(6000, 12, 8)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(_start(source, [[3, 4]] * 12).values.tobytes())
    finally:
        torch.set_num_threads(threads)
    assert len(set(found)) == 1


def test_identical_rows_give_identical_centroids() -> None:
    source = ArrayRows(np.ones((5, 1, 2), np.float32), np.zeros((5, 1), np.int8))
    assert (_start(source, [[3]]).values == 1).all()


@pytest.mark.parametrize("shared", [False, True])
def test_a_warm_start_is_the_mean_of_each_old_cluster(shared: bool) -> None:
    source = random_rows(90, 2, 4, shared=shared)
    assignment = (2 * source.labels + np.arange(90)[:, None] % 2).astype(np.int32)
    start = warm_start(source, assignment, np.tile(np.array([0, 0, 1, 1, -1], np.int8), (2, 1)))
    assert start.classes.tolist() == [[0, 0, 1, 1, -1]] * 2
    for attribute in range(2):
        for slot in range(4):
            rows = source.array[assignment[:, attribute] == slot, 0 if shared else attribute]
            np.testing.assert_allclose(start.values[attribute, slot], rows.mean(0, np.float64), rtol=1e-6)


def test_wrong_labels_are_named() -> None:
    labels = np.zeros((4, 2), np.int8)
    labels[3, 1] = 2
    with pytest.raises(ValueError, match="expected classes 0 to 1, found 2 at row 3, attribute 1"):
        class_counts(labels, 2)
    with pytest.raises(ValueError, match="no rows"):
        class_counts(labels[:0], 2)
