"""Mining equals a loop over all candidates, in float64; pools stay within their sets; corner cases of the sets."""

from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.quintuplets import Quintuplets, mine, mining
from lmle_core.quintuplets.best import Best, Share
from lmle_core.quintuplets.mining import mine_attribute
from lmle_core.quintuplets.ordered import Ordered, named
from lmle_core.quintuplets.pools import Pools

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def _subset(
    m: int, attributes: int, clusters: int, seed: int, *, shared: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features with small whole coordinates, exact in float32 and full of ties; a cluster c belongs to class c % 3."""
    generator = np.random.default_rng(seed)
    features = generator.integers(-2, 3, size=(m, 1 if shared else attributes, 3)).astype(np.float32)
    assignment = generator.integers(clusters, size=(m, attributes)).astype(np.int32)
    rows = np.sort(generator.choice(10 * m, m, replace=False))
    return features, (assignment % 3).astype(np.int8), assignment, rows


def _sets(labels: np.ndarray, clusters: np.ndarray, anchor: int) -> tuple[list[int], list[int], list[int]]:
    """Candidates for p+, for p- and p--, and for n, by class, cluster and row: the first among equals is taken."""
    own, outside, other = [], [], []
    for row in np.lexsort((clusters, labels)).tolist():
        if labels[row] != labels[anchor]:
            other.append(row)
        elif clusters[row] != clusters[anchor]:
            outside.append(row)
        elif row != anchor:
            own.append(row)
    return own, outside, other


def _distances(features: np.ndarray, anchor: int, candidates: list[int]) -> list[float]:
    return [float(((features[row].astype(np.float64) - features[anchor]) ** 2).sum()) for row in candidates]


def _by_loop(features: np.ndarray, labels: np.ndarray, clusters: np.ndarray, anchor: int) -> list[int]:
    """Positions of p+, p-, p--, n; the first among equals."""
    own, outside, other = _sets(labels, clusters, anchor)
    found = []
    for candidates, choose in ((own, max), (outside, min), (outside, max), (other, min)):
        distances = _distances(features, anchor, candidates)
        found.append(candidates[distances.index(choose(distances))] if candidates else -1)
    return found


def _table(found: Quintuplets) -> np.ndarray:
    return found.members(np.arange(len(found)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("m", "clusters", "block"), [(40, 6, 7), (40, 6, 4096), (25, 3, 4), (12, 12, 5), (9, 1, 2)])
def test_exact_mining_equals_the_loop(device: str, shared: bool, m: int, clusters: int, block: int) -> None:
    features, labels, assignment, rows = _subset(m, 3, clusters, seed=m + clusters, shared=shared)
    generator = np.random.default_rng(0)
    found = mine(features, labels, assignment, rows, None, None, generator, device=device, block=block)
    assert found.attribute.tolist() == [a for a in range(3) for _ in range(m)]
    named = np.append(rows, -1)
    expected = [
        [rows[anchor], *named[_by_loop(features[:, 0 if shared else a], labels[:, a], assignment[:, a], anchor)]]
        for a in range(3)
        for anchor in range(m)
    ]
    np.testing.assert_array_equal(_table(found), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("block", [30, None])
def test_exact_mining_of_embeddings_equals_the_loop(device: str, block: int | None) -> None:
    """Real numbers, where products round and no two distances are equal."""
    generator = np.random.default_rng(0)
    _, labels, assignment, rows = _subset(400, 2, 6, seed=0)
    features = generator.normal(size=(400, 2, 64)) + generator.normal(size=(6, 64))[assignment]
    features = (features / np.linalg.norm(features, axis=-1, keepdims=True)).astype(np.float32)
    found = mine(features, labels, assignment, rows, None, None, generator, device=device, block=block)
    expected = [
        [rows[anchor], *rows[_by_loop(features[:, a], labels[:, a], assignment[:, a], anchor)]]
        for a in range(2)
        for anchor in range(400)
    ]
    np.testing.assert_array_equal(_table(found), expected)


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 2**16), st.integers(1, 12))
def test_exact_mining_of_any_subset_equals_the_loop(m: int, clusters: int, seed: int, block: int) -> None:
    features, labels, assignment, _ = _subset(m, 1, clusters, seed)
    rows = np.arange(m)
    expected = [[x, *_by_loop(features[:, 0], labels[:, 0], assignment[:, 0], x)] for x in range(m)]
    table = mine(features, labels, assignment, rows, None, None, np.random.default_rng(0), block=block)
    np.testing.assert_array_equal(_table(table), expected)
    asked = (np.zeros(m, np.int64), rows[::-1])
    table = mine(features, labels, assignment, rows, None, None, np.random.default_rng(0), block=block, anchors=asked)
    np.testing.assert_array_equal(_table(table), expected[::-1])


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 2**16), st.integers(1, 5), st.integers(1, 5))
def test_pools_stay_within_their_sets(m: int, clusters: int, seed: int, positives: int, impostors: int) -> None:
    features, labels, assignment, rows = _subset(m, 2, clusters, seed)
    rows = np.arange(m)
    table = _table(mine(features, labels, assignment, rows, positives, impostors, np.random.default_rng(seed), block=8))
    for number, (anchor, *members) in enumerate(table.tolist()):
        attribute = number // m
        own, outside, other = _sets(labels[:, attribute], assignment[:, attribute], anchor)
        for member, allowed in zip(members, (own, outside, outside, other), strict=True):
            assert member in (allowed or [-1])
        if outside:
            near, far = _distances(features[:, attribute], anchor, members[1:3])
            assert near <= far


def test_every_candidate_can_be_drawn_and_a_large_pool_is_nearly_exact() -> None:
    features, labels, assignment, _ = _subset(24, 1, 6, seed=3)
    rows = np.arange(24)
    generator = np.random.default_rng(0)
    drawn = [_table(mine(features, labels, assignment, rows, 1, 1, generator)) for _ in range(200)]
    for anchor in range(24):
        sets = _sets(labels[:, 0], assignment[:, 0], anchor)
        for column, allowed in zip((1, 2, 4), sets, strict=True):
            assert {int(table[anchor, column]) for table in drawn} == set(allowed or [-1])
    exact = _table(mine(features, labels, assignment, rows, None, None, generator))
    np.testing.assert_array_equal(_table(mine(features, labels, assignment, rows, 500, 500, generator)), exact)
    np.testing.assert_array_equal(
        _table(mine(features, labels, assignment, rows, None, 500, generator)), exact
    )  # one exact, one pooled
    np.testing.assert_array_equal(_table(mine(features, labels, assignment, rows, 500, None, generator)), exact)


def test_the_same_generator_draws_the_same_pools_and_another_one_others() -> None:
    features, labels, assignment, rows = _subset(60, 2, 6, seed=0)
    tables = [_table(mine(features, labels, assignment, rows, 2, 4, np.random.default_rng(seed))) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert (tables[0] != tables[2]).any()


def test_no_bit_depends_on_the_threads() -> None:
    features = np.random.default_rng(0).normal(size=(500, 3, 16)).astype(np.float32)
    _, labels, assignment, rows = _subset(500, 3, 6, seed=0)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(_table(mine(features, labels, assignment, rows, None, None, np.random.default_rng(0))))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("pools", [Pools(None, None), Pools(2, 4), Pools(None, 4), Pools(2, None)])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_shares_of_the_anchors_merge_into_the_whole(pools: Pools, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "POOLED", 16)
    features, labels, assignment, rows = _subset(90, 3, 6, seed=2)
    features += (
        np.random.default_rng(1).normal(scale=0.3, size=features.shape).astype(np.float32) * (rows % 2)[:, None, None]
    )
    whole = _table(
        mine(features, labels, assignment, rows, pools.positives, pools.impostors, np.random.default_rng(0), block=7)
    )
    for attribute in range(3):
        ordered = Ordered.of(
            features[:, attribute], labels[:, attribute], assignment[:, attribute], torch.device("cpu")
        )
        first = pools.generator(np.random.default_rng(0), attribute * len(rows))
        found = [mine_attribute(ordered, pools, first, block=7, share=Share(number, parts)) for number in range(parts)]
        best = reduce(Best.merge, reversed(found))
        members = named(best.place, rows[ordered.positions])
        np.testing.assert_array_equal(members.T, whole[attribute * 90 : (attribute + 1) * 90, 1:])


def test_chosen_anchors_keep_their_order() -> None:
    features, labels, assignment, rows = _subset(30, 3, 6, seed=1)
    whole = mine(features, labels, assignment, rows, None, None, np.random.default_rng(0))
    attributes, positions = np.array([2, 0, 2, 1, 0]), np.array([4, 29, 3, 3, 0])
    some = mine(
        features, labels, assignment, rows, None, None, np.random.default_rng(0), anchors=(attributes, positions)
    )
    np.testing.assert_array_equal(_table(some), whole.members(attributes * 30 + positions))
    assert some.attribute.tolist() == attributes.tolist()


def test_sets_that_are_empty() -> None:
    features = np.array([[[0]], [[1]], [[3]], [[7]]], np.float32)
    clusters = np.array([[0], [0], [0], [1]], np.int32)
    labels = np.array([[0], [0], [0], [2]], np.int8)  # class 0 is one cluster, class 2 one row, class 1 nothing
    for pools in (None, 3):
        table = _table(mine(features, labels, clusters, np.arange(4), pools, pools, np.random.default_rng(0)))
        assert (table[:3, 2:4] == -1).all()  # no class member outside the only cluster
        assert (table[:3, 4] == 3).all()
        assert table[3, 1:4].tolist() == [-1, -1, -1]  # alone in its cluster and its class
        alone = mine(features[:3], labels[:3], clusters[:3], np.arange(3), pools, pools, np.random.default_rng(0))
        assert (alone.impostor == -1).all()  # no other class


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    found = mine(*_subset(20, 2, 6, seed=5), 2, 3, np.random.default_rng(0))
    found.save(tmp_path)
    again = Quintuplets.load(tmp_path)
    assert len(again) == 40
    for name, value in vars(found).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_a_misfit_is_refused() -> None:
    features, labels, assignment, rows = _subset(20, 2, 6, seed=5)
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="features: expected"):
        mine(features[:, :, 0], labels, assignment, rows, None, None, generator)
    with pytest.raises(ValueError, match="labels: expected"):
        mine(features, labels[:10], assignment, rows, None, None, generator)
    with pytest.raises(ValueError, match="assignment: expected"):
        mine(features, labels, assignment - 9, rows, None, None, generator)
    with pytest.raises(ValueError, match="anchor: expected int64"):
        Quintuplets(np.zeros(2, np.int16), *(np.zeros(3, np.int64) for _ in range(5)))
