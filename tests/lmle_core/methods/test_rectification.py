"""Class rectification against a loop in float64, and its minorities and imbalance by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lmle_core.config import Config
from lmle_core.losses import cross_entropy
from lmle_core.methods.rectification import Rectification, class_rectification, imbalance, minorities
from lmle_core.network import NetworkSpec, build_network
from lmle_core.store import ImageStore
from tests.lmle_core.methods.arrays import lesson_of


def minority_loop(column: list[int], classes: int) -> list[int]:
    found, together = [], 0
    for count, c in sorted((column.count(c), c) for c in range(classes)):
        together += count
        if count and 2 * together <= len(column):
            found.append(c)
    return found


def rectification_loop(embeddings: Tensor, labels: Tensor, classes: int, margin: float, hardest: int) -> list[float]:
    losses = []
    for a in range(labels.shape[1]):
        column = labels[:, a].tolist()
        hinges = []
        for anchor, c in enumerate(column):
            if c not in minority_loop(column, classes):
                continue
            distance = [float((embeddings[anchor, a] - other).norm()) for other in embeddings[:, a]]
            own = sorted((distance[i] for i, other in enumerate(column) if other == c and i != anchor), reverse=True)
            rivals = sorted(distance[i] for i, other in enumerate(column) if other != c)
            hinges += [max(0.0, margin + p - n) for p in own[:hardest] for n in rivals[:hardest]]
        losses.append(sum(hinges) / len(hinges) if hinges else 0.0)
    return losses


@given(
    seed=st.integers(0, 10_000),
    images=st.integers(2, 24),
    classes=st.integers(2, 4),
    hardest=st.integers(1, 30),
    rarity=st.floats(0.05, 1),
)
@settings(max_examples=40)
def test_the_loss_is_its_equation(seed: int, images: int, classes: int, hardest: int, rarity: float) -> None:
    generator = np.random.default_rng(seed)
    shares = np.geomspace(1, rarity, classes)
    labels = torch.from_numpy(generator.choice(classes, size=(images, 3), p=shares / shares.sum()))
    embeddings = functional.normalize(torch.from_numpy(generator.normal(size=(images, 3, 5))), dim=-1)
    found = class_rectification(embeddings, labels, classes, margin=0.5, hardest=hardest)
    slow = rectification_loop(embeddings, labels, classes, 0.5, hardest)
    np.testing.assert_allclose(found.numpy(), slow, rtol=1e-6, atol=1e-9)


def test_coinciding_points_and_lone_anchors_have_finite_gradients() -> None:
    embeddings = functional.normalize(torch.ones(4, 2, 3), dim=-1).requires_grad_()
    labels = torch.tensor([[0, 0], [0, 0], [0, 1], [1, 1]])
    loss = class_rectification(embeddings, labels, 2, margin=0.5, hardest=25)
    assert loss.tolist() == pytest.approx([0, 0.5])  # class 1 of the first attribute has no positive
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None and embeddings.grad.isfinite().all()


def test_minorities_are_the_smallest_classes_within_half_of_the_batch() -> None:
    labels = torch.tensor([[0, 0, 2], [0, 0, 2], [0, 1, 2], [0, 1, 2], [1, 2, 2], [2, 2, 2], [2, 0, 2], [1, 1, 2]])
    assert minorities(labels, 3).tolist() == [
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]


def test_imbalance_is_what_the_rarer_classes_lack() -> None:
    shares = torch.tensor([[0.5, 0.5], [0.98, 0.02], [1.0, 0.0]])
    assert imbalance(shares).tolist() == pytest.approx([0, 0.96 / 1.96, 0.5])


def test_the_objective_mixes_by_the_imbalance_of_each_attribute(faces_store: ImageStore, small: Config) -> None:
    network = build_network(NetworkSpec("six-layer", 4, 3, 2, 8), 0).eval()
    lesson = lesson_of(faces_store, small)
    loss, _ = Rectification(lesson, strength=0.7, hardest=3)(network, 2)
    output, labels = lesson.forward(network, lesson.uniform(2), 2)
    triplets = rectification_loop(output.embeddings.detach().double(), labels, 2, 0.5, 3)
    entropies = cross_entropy(output.logits, labels).mean(0).tolist()
    expected = []
    for a in range(3):
        larger = float(lesson.shares[a].max())
        alpha = 0.7 * (2 * larger - 1) / (2 * larger)
        expected.append(alpha * triplets[a] + (1 - alpha) * entropies[a])
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-4)
    plain, _ = Rectification(lesson, strength=0)(network, 2)
    assert plain.item() == pytest.approx(np.mean(entropies), rel=1e-5)
