import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lmle_core.losses import (
    QuintupletDistances,
    class_costs,
    cross_entropy,
    euclidean,
    softmax_ratio,
    triple_header_hinge,
)


def batch(
    seed: int,
    images: int = 12,
    attributes: int = 3,
    classes: int = 3,
    per_class: int = 2,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (B, A, d), clusters (B, A) and cluster_class (A, K), each cluster in one class."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = functional.normalize(torch.randn(images, attributes, 5, generator=generator, dtype=dtype), dim=-1)
    cluster_class = torch.arange(classes).repeat_interleave(per_class).repeat(attributes, 1)
    clusters = torch.randint(classes * per_class, (images, attributes), generator=generator)
    return embeddings, clusters, cluster_class


def one_quintuplet(*distances: float | None) -> QuintupletDistances:
    """Of p+, p−, p−− and n; None: absent."""
    own, near, far, impostor = (torch.tensor([each or 0.0], dtype=torch.float64) for each in distances)
    return QuintupletDistances(own, near, far, impostor, torch.tensor([[each is not None for each in distances]]))


def hinge_loop(distances: QuintupletDistances, margins: list[float]) -> list[list[float]]:
    rows = []
    for own, near, far, impostor, present in zip(*distances, strict=True):
        has_own, has_near, has_far, has_impostor = present.tolist()
        first = max(0.0, margins[0] + own.item() - near.item()) if has_own and has_near else 0.0
        second = max(0.0, margins[1] + near.item() - far.item()) if has_near and has_far else 0.0
        third = 0.0
        if has_impostor and (has_far or has_own):
            third = max(0.0, margins[2] + (far if has_far else own).item() - impostor.item())
        rows.append([first, second, third])
    return rows


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_hinge_is_its_equation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(4, 9, generator=generator, dtype=torch.float64) * 2
    present = torch.rand(9, 4, generator=generator) < 0.7
    distances = QuintupletDistances(values[0], values[1], values[2], values[3], present)
    margins = [0.1, 0.2, 0.5]
    headers = triple_header_hinge(distances, torch.tensor(margins, dtype=torch.float64))
    assert torch.allclose(headers.parts.T, torch.tensor(hinge_loop(distances, margins), dtype=torch.float64))


def test_a_quintuplet_in_order_by_its_margins_costs_nothing_and_one_reversed_costs_by_hand() -> None:
    ordered = one_quintuplet(0.1, 0.3, 0.6, 1.2)
    margins = torch.tensor([0.1, 0.2, 0.5])
    assert triple_header_hinge(ordered, margins).total.item() == 0
    reversed_ = one_quintuplet(1.2, 0.6, 0.3, 0.1)
    assert triple_header_hinge(reversed_, margins).total.item() == pytest.approx(0.7 + 0.5 + 0.7)


def softmax_ratio_loop(
    embeddings: Tensor,
    clusters: Tensor,
    cluster_class: Tensor,
    temperature: float,
    margin: float,
    weight: float,
    adjusted: bool = False,
) -> np.ndarray:
    images, attributes, _ = embeddings.shape
    result = np.zeros((2, attributes, images))
    for a in range(attributes):
        for i in range(images):
            sets: dict[str, list[float]] = {"own": [], "other": [], "near": [], "far": []}
            for j in range(images):
                if i == j:
                    continue
                similarity = math.fsum((embeddings[i, a] * embeddings[j, a]).tolist()) / temperature
                same_class = cluster_class[a, clusters[i, a]] == cluster_class[a, clusters[j, a]]
                sets["own" if same_class else "other"].append(similarity)
                if same_class:
                    sets["near" if clusters[i, a] == clusters[j, a] else "far"].append(similarity)
            for header, (wanted, unwanted, factor) in enumerate([("own", "other", 1.0), ("near", "far", weight)]):
                if sets[wanted] and sets[unwanted]:
                    low, high = (
                        math.log(math.fsum(math.exp(s) for s in sets[name]) / (1 if adjusted else len(sets[name])))
                        for name in (wanted, unwanted)
                    )
                    result[header, a, i] = factor * math.log1p(math.exp(high - low + margin / temperature))
    return result.reshape(2, -1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_the_softmax_ratio_is_its_equation(seed: int, adjusted: bool, dtype: torch.dtype, tolerance: float) -> None:
    embeddings, clusters, cluster_class = batch(seed, dtype=dtype)
    headers = softmax_ratio(
        embeddings, clusters, cluster_class, temperature=0.1, margin=0.1, weight=0.3, adjusted=adjusted
    )
    slow = softmax_ratio_loop(embeddings.double(), clusters, cluster_class, 0.1, 0.1, 0.3, adjusted)
    np.testing.assert_allclose(headers.parts.numpy(), slow, rtol=tolerance, atol=tolerance)
    assert ((headers.parts > 0) == headers.valid).all()


def test_softmax_ratio_masks_empty_sets_and_has_finite_gradients() -> None:
    embeddings = functional.normalize(torch.ones(4, 1, 3), dim=-1).requires_grad_()
    clusters = torch.tensor([[0], [0], [0], [2]])
    headers = softmax_ratio(
        embeddings, clusters, torch.tensor([[0, 0, 1, -1]]), temperature=0.1, margin=0.1, weight=1.0
    )
    assert headers.valid.tolist() == [[True, True, True, False], [False] * 4]
    headers.total.sum().backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None and embeddings.grad.isfinite().all()


def test_distance_matches_the_norm_and_its_gradient_is_finite_at_zero() -> None:
    x, y = functional.normalize(
        torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    assert torch.allclose(euclidean((x * y).sum(-1)), (x - y).norm(dim=-1))
    assert torch.allclose(euclidean((x * y).sum(-1), squared=True), (x - y).square().sum(-1))
    same = torch.ones(1, requires_grad=True)
    euclidean(same).sum().backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None and same.grad.isfinite().all()


def test_cross_entropy_of_two_classes_is_bce_of_the_difference() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 4, 2, generator=generator), torch.randint(2, (6, 4), generator=generator)
    expected = functional.binary_cross_entropy_with_logits(
        logits[..., 1] - logits[..., 0], labels.float(), reduction="none"
    )
    assert torch.allclose(cross_entropy(logits, labels), expected, atol=1e-6)


@given(rate=st.floats(0.01, 0.99), seed=st.integers(0, 100))
@settings(max_examples=30)
def test_class_costs_balance_the_classes_and_average_to_one(rate: float, seed: int) -> None:
    labels = torch.from_numpy((np.random.default_rng(seed).random((200, 3)) < rate).astype(np.int64))
    costs = class_costs(labels, 2)
    for a in range(3):
        paid = [float(costs[a, c] * (labels[:, a] == c).sum()) for c in (0, 1) if (labels[:, a] == c).any()]
        assert paid == pytest.approx([200 / len(paid)] * len(paid), rel=1e-5)
