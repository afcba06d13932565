"""Cluster-wise angular margins against a loop in float64."""

import math
from typing import TypedDict

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lmle_core.centroid_margin import centroid_margin, widened


class Settings(TypedDict):
    scale: float
    class_margin: float
    cluster_margin: float
    weight: float


SETTINGS = Settings(scale=8.0, class_margin=0.5, cluster_margin=0.2, weight=0.3)


def drawn(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Three attributes of classes 0 to 2 with 3, 2 and 1 centroids, one of them none; the last lacks class 2."""
    generator = torch.Generator().manual_seed(seed)
    embeddings, centroids = (
        functional.normalize(torch.randn(*shape, 5, generator=generator, dtype=dtype), dim=-1)
        for shape in ((14, 3), (3, 7))
    )
    centroid_class = torch.tensor([[0, 0, 1, -1, 1, 0, 2], [2, 1, 0, 0, 1, -1, 0], [0, 1, 0, 1, 0, -1, -1]])
    used = [torch.nonzero(row >= 0)[:, 0] for row in centroid_class]
    picks = torch.rand(14, 3, generator=generator)
    clusters = torch.stack([each[(picks[:, a] * len(each)).long()] for a, each in enumerate(used)], 1)
    shares = torch.tensor([[0.8, 0.15, 0.05], [0.6, 0.3, 0.1], [0.9, 0.1, 0.0]], dtype=dtype)
    return embeddings, clusters, centroids, centroid_class, shares


def widened_loop(angle: float, margin: float) -> float:
    moved = math.cos(angle + margin)
    return moved if angle + margin <= math.pi else -2 - moved


def centroid_loop(
    embeddings: Tensor,
    clusters: Tensor,
    centroids: Tensor,
    centroid_class: Tensor,
    shares: Tensor,
    scale: float,
    class_margin: float,
    cluster_margin: float,
    weight: float,
) -> tuple[np.ndarray, np.ndarray]:
    images, attributes, _ = embeddings.shape
    parts, valid = np.zeros((2, attributes, images)), np.zeros((2, attributes, images), bool)
    for a in range(attributes):
        for i in range(images):
            own = int(clusters[i, a])
            y = int(centroid_class[a, own])
            angles: dict[int, dict[int, float]] = {}
            for k, c in enumerate(centroid_class[a].tolist()):
                if c >= 0:
                    cosine = math.fsum((embeddings[i, a] * centroids[a, k]).tolist())
                    angles.setdefault(c, {})[k] = math.acos(max(-1.0, min(1.0, cosine)))
            if len(angles) > 1:
                powers = {}
                for c, each in angles.items():
                    nearest = min(each.values())
                    cosine = widened_loop(nearest, class_margin) if c == y else math.cos(nearest)
                    powers[c] = float(shares[a, c]) * math.exp(scale * cosine)
                parts[0, a, i] = -math.log(powers[y] / math.fsum(powers.values()))
                valid[0, a, i] = True
            if len(angles[y]) > 1:
                within = {
                    k: math.exp(scale * (widened_loop(angle, cluster_margin) if k == own else math.cos(angle)))
                    for k, angle in angles[y].items()
                }
                parts[1, a, i] = -weight * math.log(within[own] / math.fsum(within.values()))
                valid[1, a, i] = True
    return parts.reshape(2, -1), valid.reshape(2, -1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-4)])
def test_the_headers_are_their_equation(seed: int, dtype: torch.dtype, tolerance: float) -> None:
    arrays = drawn(seed, dtype)
    headers = centroid_margin(*arrays, **SETTINGS)
    embeddings, clusters, centroids, centroid_class, shares = arrays
    parts, valid = centroid_loop(
        embeddings.double(), clusters, centroids.double(), centroid_class, shares.double(), **SETTINGS
    )
    np.testing.assert_allclose(headers.parts.numpy(), parts, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(headers.valid.numpy(), valid)
    assert not valid.all()


def test_a_widened_cosine_falls_from_end_to_end_without_a_step() -> None:
    angles = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    for margin in (0.0, 0.2, 0.5, 1.0):
        values = widened(angles.cos(), margin)
        expected = [widened_loop(angle, margin) for angle in angles.tolist()]
        np.testing.assert_allclose(values, expected, atol=2e-4)  # the sine is kept off 0
        assert (values.diff() <= 1e-9).all()
        assert values.diff().abs().max() < 2e-3


def test_one_class_alone_and_single_clusters_are_masked_and_gradients_are_finite() -> None:
    centroids = torch.eye(3).repeat(2, 1, 1)
    centroid_class = torch.tensor([[0, 0, -1], [0, 1, -1]])
    embeddings = torch.eye(3)[[0, 1]][:, None].repeat(1, 2, 1).requires_grad_()  # on the centroids themselves
    shares = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    clusters = torch.tensor([[0, 0], [1, 1]])
    headers = centroid_margin(embeddings, clusters, centroids, centroid_class, shares, **SETTINGS)
    assert headers.valid.tolist() == [[False, False, True, True], [True, True, False, False]]
    assert (headers.parts[~headers.valid] == 0).all()
    headers.total.sum().backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None and embeddings.grad.isfinite().all()


def test_of_equal_angles_the_likelihoods_are_equal_and_the_class_term_is_the_share() -> None:
    centroids = functional.normalize(torch.tensor([[[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]]), dim=-1)
    embeddings = torch.tensor([[[1.0, 0.0, 0.0]]])
    shares = torch.tensor([[0.9, 0.1]])
    without = Settings(scale=8.0, class_margin=0.0, cluster_margin=0.2, weight=0.3)
    headers = centroid_margin(embeddings, torch.tensor([[1]]), centroids, torch.tensor([[0, 1]]), shares, **without)
    assert headers.parts[0].item() == pytest.approx(-math.log(0.1), rel=1e-4)
