"""The triplet loss and its mining against a float64 loop, the balanced part by its invariants, and faiss beside it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmle_core.config import Config
from lmle_core.index import CentroidIndex
from lmle_core.methods.cross_entropy import plain
from lmle_core.methods.triplets import Mining, Triplets, balanced_part, batch_hard, semi_hard
from lmle_core.network import NetworkSpec, build_network
from lmle_core.store import ImageStore
from tests.lmle_core.methods.arrays import lesson_of, unit

SPEC = NetworkSpec("six-layer", 4, 3, 2, 8)


def triplet_loop(embeddings: Tensor, labels: Tensor, mining: str, margin: float) -> float:
    """Mean of the hinges above zero over the mined triplets of one attribute; 0 without any."""
    points, hinges = embeddings.detach().double(), []
    for a in range(len(points)):
        distance = [float((points[a] - other).norm()) for other in points]
        own = [distance[p] for p in range(len(points)) if p != a and labels[p] == labels[a]]
        other = [distance[n] for n in range(len(points)) if labels[n] != labels[a]]
        if mining == "batch-hard":
            pairs = [(max(own), min(other))] if own and other else []
        else:
            pairs = [(p, n) for p in own for n in other if 0 < n - p <= margin]
        hinges += [max(0.0, p - n + margin) for p, n in pairs]
    positive = [hinge for hinge in hinges if hinge > 0]
    return sum(positive) / len(positive) if positive else 0.0


@pytest.mark.parametrize("mining", ["semi-hard", "batch-hard"])
def test_the_loss_over_a_whole_batch_is_its_equation_meaned_over_the_attributes(
    mining: Mining, faces_store: ImageStore, small: Config
) -> None:
    network = build_network(SPEC, 0).eval()
    lesson = lesson_of(faces_store, small)
    objective = Triplets(lesson, mining, margin=0.3)
    loss, _ = objective(network, 8)
    output, labels = lesson.forward(network, objective._sampler(8), 8)
    slow = [triplet_loop(output.embeddings[:, a], labels[:, a], objective.mining, 0.3) for a in range(3)]
    assert loss.item() == pytest.approx(np.mean(slow), rel=1e-4)
    assert loss.item() > 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert network.heads.weight.grad is not None and network.heads.weight.grad.abs().sum() > 0
    assert network.classifier.weight.grad is None  # no cross-entropy


def test_the_first_part_is_plain_cross_entropy(faces_store: ImageStore, small: Config) -> None:
    network = build_network(SPEC, 0).eval()
    for pretraining, share, warm in ((3, None, 3), (0, None, 5), (3, 0.9, 9)):
        lesson = lesson_of(faces_store, small, iterations=10, pretraining=pretraining)
        objective, classification = semi_hard(lesson, warm=share), plain(lesson)
        assert torch.equal(objective(network, warm - 1)[0], classification(network, warm - 1)[0])
        assert set(objective(network, warm)[1]) == {"loss_triplet"}


def test_a_part_depends_on_the_iteration_alone(faces_store: ImageStore, small: Config) -> None:
    network = build_network(SPEC, 0).eval()
    first, second = (Triplets(lesson_of(faces_store, small), "semi-hard", members=16) for _ in range(2))
    first(network, 0)
    assert torch.equal(first(network, 8)[0], second(network, 8)[0])
    assert not torch.equal(first(network, 8)[0], first(network, 9)[0])


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), members=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_a_part_balances_the_classes_as_far_as_their_members_go(labels: list[int], members: int, seed: int) -> None:
    column = torch.tensor(labels)
    part = balanced_part(column, 4, members, torch.Generator().manual_seed(seed))
    assert len(set(part.tolist())) == len(part) == min(members, len(labels))
    taken, there = column[part].bincount(minlength=4), column.bincount(minlength=4)
    for c in range(4):
        if taken[c] < there[c]:  # a class that is not taken whole lacks no turn that another had
            assert taken[c] >= taken.max() - 1


def test_a_batch_of_one_class_costs_nothing_and_has_a_gradient(faces_store: ImageStore, small: Config) -> None:
    network = build_network(SPEC, 0).eval()
    lesson = lesson_of(faces_store, small)
    lesson.labels.zero_()
    for make in (semi_hard, batch_hard):
        loss, _ = make(lesson)(network, 9)
        assert loss.item() == 0
        loss.backward()  # type: ignore[no-untyped-call]


def test_the_index_still_searches_beside_the_library_of_triplets(faces_store: ImageStore, small: Config) -> None:
    generator = np.random.default_rng(0)
    centroids, queries = (unit(generator.normal(size=(n, 8))) for n in (9, 5))
    classes, offsets = np.arange(9).astype(np.int8) % 2, np.array([0, 4, 9])
    semi_hard(lesson_of(faces_store, small))
    distances, rows = CentroidIndex(("a", "b"), 2, centroids, classes, offsets).search(1, queries, 2)
    scan = np.linalg.norm(queries[:, None].astype(np.float64) - centroids[4:], axis=-1)
    np.testing.assert_array_equal(rows - 4, np.argsort(scan, axis=1)[:, :2])
    np.testing.assert_allclose(distances, np.sort(scan, axis=1)[:, :2], atol=1e-5)
