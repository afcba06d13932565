"""First centroids: how many, from which rows, and the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.kmeans import ArrayRows, seeding
from lmle_core.kmeans.seeding import Start, class_counts, cluster_counts, plus_plus, warm_start
from tests.lmle_core.kmeans.random_rows import random_rows


@pytest.mark.parametrize(
    ("rows", "clusters"), [(0, 0), (1, 1), (2, 2), (199, 2), (299, 2), (350, 3), (999, 9), (10_000, 12)]
)
def test_a_class_has_about_one_cluster_for_each_hundred_rows(rows: int, clusters: int) -> None:
    assert cluster_counts(np.array(rows), 100, 12).item() == clusters


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(1, 20))
def test_per_class_gives_every_class_as_many_unless_it_is_smaller(rows: list[int], per_class: int) -> None:
    assert cluster_counts(np.array(rows), 1, 2, per_class).tolist() == [min(n, per_class) for n in rows]


def test_first_centroids_are_rows_of_their_class() -> None:
    source = random_rows(300, 3, 4, classes=3)
    start = plus_plus(source, np.array([[2, 1, 3], [1, 1, 1], [4, 0, 2]]), seed=0, round=0)
    assert start.classes.tolist() == [[0, 0, 1, 2, 2, 2], [0, 1, 2, -1, -1, -1], [0, 0, 0, 0, 2, 2]]
    for attribute, slot in np.argwhere(start.classes >= 0):
        members = source.array[source.labels[:, attribute] == start.classes[attribute, slot], attribute]
        assert (members == start.values[attribute, slot]).all(1).any()


def test_the_seed_the_round_the_attribute_and_the_class_draw_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "SAMPLE", 64)  # so that the sample is one
    source = random_rows(1000, 2, 4)
    wanted = np.array([[3, 3], [3, 3]])
    first = plus_plus(source, wanted, seed=0, round=0)
    assert plus_plus(source, wanted, seed=0, round=0).values.tobytes() == first.values.tobytes()
    for seed, number in ((1, 0), (0, 1)):
        other = plus_plus(source, wanted, seed=seed, round=number)
        assert all((other.values[a, s] != first.values[a, s]).any() for a in range(2) for s in range(6))
    alone = plus_plus(ArrayRows(source.array[:, :1], source.labels[:, :1]), wanted[:1], seed=0, round=0)
    np.testing.assert_array_equal(alone.values[0], first.values[0])


def test_identical_rows_give_identical_centroids() -> None:
    source = ArrayRows(np.ones((5, 1, 2), np.float32), np.zeros((5, 1), np.int8))
    assert (plus_plus(source, np.array([[3]]), seed=0, round=0).values == 1).all()


@pytest.mark.parametrize("shared", [False, True])
def test_a_warm_start_is_the_mean_of_each_old_cluster(shared: bool) -> None:
    source = random_rows(90, 2, 4, shared=shared)
    assignment = (2 * source.labels + np.arange(90)[:, None] % 2).astype(np.int32)
    start = warm_start(source, Start(assignment, np.tile(np.array([0, 0, 1, 1, -1], np.int8), (2, 1))))
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
