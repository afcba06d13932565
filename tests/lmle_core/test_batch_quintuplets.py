"""Quintuplets of a batch against a loop, over few candidates and over many."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lmle_core import batch_quintuplets
from lmle_core.batch_quintuplets import FEW, batch_quintuplet_distances
from lmle_core.losses import QuintupletDistances, triple_header_hinge
from tests.lmle_core.test_losses import batch

either_way = pytest.mark.usefixtures("few")


@pytest.fixture(params=[0, 99], ids=["all pairs", "one by one"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to draw, whatever the pools' size."""
    monkeypatch.setattr(batch_quintuplets, "FEW", request.param)


def quintuplet_loop(embeddings: Tensor, clusters: Tensor, cluster_class: Tensor) -> list[list[float | None]]:
    images, attributes, _ = embeddings.shape
    rows: list[list[float | None]] = []
    for a in range(attributes):
        for i in range(images):
            own, outside, other = [], [], []
            for j in range(images):
                distance = (embeddings[i, a] - embeddings[j, a]).norm().item()
                if cluster_class[a, clusters[j, a]] != cluster_class[a, clusters[i, a]]:
                    other.append(distance)
                elif clusters[j, a] != clusters[i, a]:
                    outside.append(distance)
                elif j != i:
                    own.append(distance)
            rows.append(
                [
                    max(own, default=None),
                    min(outside, default=None),
                    max(outside, default=None),
                    min(other, default=None),
                ]
            )
    return rows


@either_way
@pytest.mark.parametrize("seed", range(4))
def test_quintuplets_of_a_batch_are_the_extremes_when_the_pool_is_everyone(seed: int) -> None:
    embeddings, clusters, cluster_class = batch(seed)
    found = batch_quintuplet_distances(
        embeddings, clusters, cluster_class, positives=12, impostors=12, generator=torch.Generator().manual_seed(0)
    )
    for index, expected in enumerate(quintuplet_loop(embeddings, clusters, cluster_class)):
        for part in range(4):
            assert bool(found.present[index, part]) == (expected[part] is not None)
            if expected[part] is not None:
                assert found[part][index].item() == pytest.approx(expected[part], abs=1e-6)


@either_way
def test_a_smaller_pool_is_never_more_extreme_and_depends_on_the_generator_alone() -> None:
    embeddings, clusters, cluster_class = batch(1, images=40)

    def distances(positives: int, impostors: int, seed: int) -> QuintupletDistances:
        generator = torch.Generator().manual_seed(seed)
        return batch_quintuplet_distances(
            embeddings, clusters, cluster_class, positives=positives, impostors=impostors, generator=generator
        )

    everyone, few, again, other = distances(40, 40, 0), distances(2, 5, 0), distances(2, 5, 0), distances(2, 5, 1)
    assert torch.equal(everyone.present, few.present)
    assert (few.own_cluster <= everyone.own_cluster).all() and (few.far_cluster <= everyone.far_cluster).all()
    assert (few.near_cluster >= everyone.near_cluster).all() and (few.impostor >= everyone.impostor).all()
    assert all(torch.equal(a, b) for a, b in zip(few, again, strict=True))
    assert not torch.equal(few.impostor, other.impostor)


@either_way
def test_embeddings_that_are_no_numbers_make_no_quintuplet_absent() -> None:
    embeddings, clusters, cluster_class = batch(3)
    whole, broken = (
        batch_quintuplet_distances(
            each, clusters, cluster_class, positives=4, impostors=4, generator=torch.Generator().manual_seed(0)
        )
        for each in (embeddings, torch.full_like(embeddings, torch.nan))
    )
    assert torch.equal(whole.present, broken.present)
    assert triple_header_hinge(broken, torch.tensor([0.1, 0.2, 0.5])).total.isnan().any()


@either_way
def test_every_candidate_is_as_likely_to_be_in_the_pool() -> None:
    vectors = functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [1.0, 0.3], [0.0, 1.0]]), dim=-1)
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(600):
        found = batch_quintuplet_distances(
            vectors[:, None], torch.tensor([[0], [0], [0], [0], [1]]), torch.tensor([[0, 1]]),
            positives=1, impostors=1, generator=generator,
        )  # fmt: skip
        drawn.append(round(found.own_cluster[0].item(), 4))
    counts = [drawn.count(round((vectors[0] - vectors[other]).norm().item(), 4)) for other in (1, 2, 3)]
    assert sum(counts) == 600
    assert sum((count - 200) ** 2 / 200 for count in counts) < 13.8  # χ² of two degrees of freedom, 0.1 %


@either_way
def test_the_gradient_of_a_quintuplet_is_that_of_its_distances() -> None:
    embeddings, clusters, cluster_class = batch(2)
    embeddings.requires_grad_()
    found = batch_quintuplet_distances(
        embeddings, clusters, cluster_class, positives=12, impostors=12, generator=torch.Generator().manual_seed(0)
    )
    (gradient,) = torch.autograd.grad(triple_header_hinge(found, torch.tensor([0.1, 0.2, 0.5])).total.sum(), embeddings)
    moved = torch.zeros_like(embeddings)
    step = 1e-6
    for place in np.ndindex(*embeddings.shape):
        with torch.no_grad():
            losses = []
            for sign in (step, -step):
                shifted = embeddings.detach().clone()
                shifted[place] += sign
                each = batch_quintuplet_distances(
                    shifted, clusters, cluster_class, positives=12, impostors=12,
                    generator=torch.Generator().manual_seed(1),
                )  # fmt: skip
                losses.append(triple_header_hinge(each, torch.tensor([0.1, 0.2, 0.5])).total.sum().item())
            moved[place] = (losses[0] - losses[1]) / (2 * step)
    assert torch.allclose(gradient, moved, atol=1e-5)


@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=6), pool=st.integers(1, FEW), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_what_is_drawn_of_a_size_is_distinct(sizes: list[int], pool: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for size, drawn in zip(sizes, batch_quintuplets._distinct(torch.tensor(sizes), pool, generator), strict=True):
        kept = drawn[:size].tolist()
        assert len(set(kept)) == len(kept) == min(size, pool)
        assert all(0 <= each < size for each in kept)


def test_every_pair_of_a_size_is_as_likely() -> None:
    drawn = batch_quintuplets._distinct(torch.full((2400,), 4), 2, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16).view(4, 4)
    assert (counts.diagonal() == 0).all()
    assert ((counts[~torch.eye(4, dtype=torch.bool)] - 200) ** 2 / 200).sum() < 31.3  # χ² of 11, 0.1 %


@either_way
@pytest.mark.parametrize("seed", range(3))
def test_a_pool_of_one_holds_each_candidate_of_each_set_alike(seed: int) -> None:
    """Of every anchor: over 400 draws, the distances that occur are those of its candidates, each as often."""
    embeddings, clusters, cluster_class = batch(seed, images=9, attributes=2, classes=2)
    generator = torch.Generator().manual_seed(seed)
    draws = [
        batch_quintuplet_distances(embeddings, clusters, cluster_class, positives=1, impostors=1, generator=generator)
        for _ in range(400)
    ]
    for index in range(18):
        a, i = divmod(index, 9)
        own_class = [cluster_class[a, k].item() for k in clusters[:, a]]
        sets: dict[int, list[float]] = {0: [], 1: [], 2: [], 3: []}
        for j in range(9):
            distance = round((embeddings[i, a] - embeddings[j, a]).norm().item(), 6)
            if own_class[j] != own_class[i]:
                sets[3].append(distance)
            elif clusters[j, a] != clusters[i, a]:
                sets[1].append(distance)
                sets[2].append(distance)
            elif j != i:
                sets[0].append(distance)
        for part, candidates in sets.items():
            drawn = [round(each[part][index].item(), 6) for each in draws]
            if not candidates:
                assert set(drawn) == {0.0}
                continue
            expected = len(draws) / len(candidates)
            assert set(drawn) <= set(candidates)
            assert all(abs(drawn.count(each) - expected) < 5 * expected**0.5 + 1 for each in candidates)
