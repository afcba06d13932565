"""Losses over logits against float64 loops, and objectives as functions of the network and the iteration alone."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmle_core.config import Config
from lmle_core.losses import class_costs, cross_entropy
from lmle_core.methods import cross_entropy as objectives
from lmle_core.methods.cross_entropy import OverLogits
from lmle_core.methods.method import Lesson
from lmle_core.network import NetworkSpec, build_network
from lmle_core.prior import Classification
from lmle_core.store import ImageStore
from tests.lmle_core.methods.arrays import lesson_of

SHARES = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]])


def drawn(seed: int, images: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, 2, 3, generator=generator, dtype=torch.float64)
    return logits, torch.randint(2, (images, 2), generator=generator)


def looped(logits: Tensor, labels: Tensor, one: Callable[[list[float], int, int], float]) -> np.ndarray:
    """The loss of each image and attribute by a function of its probabilities, its label and the attribute."""
    result = np.zeros(labels.shape)
    for i, a in np.ndindex(*labels.shape):
        powers = [math.exp(value) for value in logits[i, a].tolist()]
        result[i, a] = one([power / math.fsum(powers) for power in powers], int(labels[i, a]), a)
    return result


@given(seed=st.integers(0, 1000), gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
@settings(max_examples=20)
def test_the_focal_loss_is_its_equation(seed: int, gamma: float) -> None:
    logits, labels = drawn(seed)
    slow = looped(logits, labels, lambda p, y, _: -((1 - p[y]) ** gamma) * math.log(p[y]))
    np.testing.assert_allclose(objectives.focal_loss(logits, labels, gamma), slow, rtol=1e-6, atol=1e-9)


def test_the_focal_loss_of_a_certain_answer_has_a_finite_gradient() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    objectives.focal_loss(logits, torch.tensor([[0]]), 0.5).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and logits.grad.isfinite().all()


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_a_margin_is_taken_off_the_logit_of_the_label_alone(seed: int) -> None:
    logits, labels = drawn(seed)
    of_class = 10 * objectives.class_margins(SHARES, 0.5)

    def one(p: list[float], y: int, margin: float) -> float:
        powers = [each * math.exp(-margin * (c == y)) for c, each in enumerate(p)]
        return -math.log(powers[y] / math.fsum(powers))

    slow = looped(logits, labels, lambda p, y, a: one(p, y, float(of_class[a, y])))
    np.testing.assert_allclose(cross_entropy(logits, labels, of_class), slow, rtol=1e-6)
    slow = looped(logits, labels, lambda p, y, _: one(p, y, 1.5))
    np.testing.assert_allclose(cross_entropy(logits, labels, 1.5), slow, rtol=1e-6)


def test_margins_go_by_the_fourth_root_and_the_rarest_class_has_the_largest() -> None:
    margins = objectives.class_margins(SHARES, 0.5)
    assert margins[0, 2].item() == pytest.approx(0.5)
    assert margins[0, 0].item() == pytest.approx(0.5 * (0.1 / 0.7) ** 0.25)
    assert margins[1].tolist() == pytest.approx([0.5, 0.5, 0])


@given(
    counts=st.lists(st.integers(0, 500), min_size=2, max_size=6).filter(lambda counts: sum(counts) > 0),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=40)
def test_weights_average_to_one_over_the_samples_and_follow_their_law(counts: list[int], exponent: float) -> None:
    shares = torch.tensor([counts], dtype=torch.float64).div(sum(counts)).float()
    effective = objectives.effective_weights(shares, sum(counts))[0]
    by_share = objectives.share_weights(shares, exponent)[0]
    for weights in (by_share, effective):
        assert (weights * shares[0]).sum().item() == pytest.approx(1, rel=1e-4)
    present = [c for c, count in enumerate(counts) if count]
    assert all(by_share[c] == effective[c] == 0 for c in range(len(counts)) if c not in present)
    law = [(1 - 0.9999) / (1 - 0.9999 ** counts[c]) for c in present]
    assert (effective[present] / effective[present[0]]).tolist() == pytest.approx([w / law[0] for w in law], rel=1e-4)
    powers = [(counts[c] / counts[present[0]]) ** -exponent for c in present]
    assert (by_share[present] / by_share[present[0]]).tolist() == pytest.approx(powers, rel=1e-4)


def test_weights_of_exponent_one_are_the_class_costs() -> None:
    labels = torch.tensor([[0, 1], [0, 1], [1, 1], [0, 0]])
    shares = torch.stack([(labels == c).float().mean(0) for c in (0, 1)], 1)
    assert torch.allclose(objectives.share_weights(shares, 1.0), class_costs(labels, 2))


OBJECTIVES: dict[str, Callable[[Lesson], OverLogits]] = {
    "plain": objectives.plain,
    "class-weighted": objectives.class_weighted,
    "focal": objectives.focal,
    "label-margin": objectives.label_margin,
    "additive-margin": objectives.additive_margin,
    "logit-adjusted": objectives.logit_adjusted,
    "resampled": objectives.resampled,
    "deferred-resampled": objectives.deferred_resampled,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_depends_on_network_and_iteration_alone(name: str, faces_store: ImageStore, small: Config) -> None:
    network = build_network(NetworkSpec("six-layer", 4, 3, 2, 8), 0).eval()
    lesson = lesson_of(faces_store, small)
    first, second = OBJECTIVES[name](lesson), OBJECTIVES[name](lesson)
    first(network, 0)
    assert torch.equal(first(network, 7)[0], second(network, 7)[0])
    assert not torch.equal(first(network, 7)[0], first(network, 6)[0])


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_pre_training_is_cross_entropy_with_a_margin_and_the_baseline_without(
    faces_store: ImageStore, small: Config, margin: float
) -> None:
    network = build_network(NetworkSpec("six-layer", 4, 3, 2, 8), 0).eval()
    lesson = lesson_of(faces_store, small)
    peer = Classification(lesson.images, lesson.labels, margin, small, lesson.seed)
    loss, figures = objectives.additive_margin(lesson, margin=margin)(network, 4)
    plain, _ = objectives.plain(lesson)(network, 4)
    assert torch.equal(loss, peer(network, 4)[0])
    assert torch.equal(figures["loss_cross_entropy"], plain.detach())
    assert (loss > plain) == (margin > 0)


def test_weights_join_the_margins_in_the_last_fifth(faces_store: ImageStore, small: Config) -> None:
    lesson = lesson_of(faces_store, small, iterations=10)
    objective = objectives.label_margin(lesson, margin=0.5, scale=4.0)
    logits = torch.zeros(1, 3, 2)
    labels = torch.zeros(1, 3, dtype=torch.long)
    before, after = objective.loss(logits, labels, 7), objective.loss(logits, labels, 8)
    assert torch.equal(before, objective.loss(logits, labels, 0))
    weights = objectives.effective_weights(lesson.shares, len(lesson.images))
    assert torch.allclose(after, before * weights[:, 0])


def test_the_adjusted_logits_fit_the_posterior_when_the_network_knows_only_likelihoods(
    faces_store: ImageStore, small: Config
) -> None:
    lesson = lesson_of(faces_store, small)
    labels = torch.tensor([[0, 1, 0], [1, 0, 1]])
    found = objectives.logit_adjusted(lesson).loss(torch.zeros(2, 3, 2), labels, 0)
    expected = [[-math.log(float(lesson.shares[a, labels[i, a]])) for a in range(3)] for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_resampled_is_class_equal_for_one_attribute_and_deferred_once_pre_training_ends(
    faces_store: ImageStore, small: Config
) -> None:
    lesson = lesson_of(faces_store, small, pretraining=4)
    commonest = int(lesson.shares.min(1).values.argmax())
    one = replace(lesson, labels=lesson.labels[:, [commonest]], shares=lesson.shares[[commonest]])
    resampled, deferred = objectives.resampled(one).sampler, objectives.deferred_resampled(one).sampler
    assert np.bincount(one.labels[resampled(0), 0].numpy()).tolist() == [16, 16]
    assert deferred(3).tolist() == one.uniform(3).tolist() != resampled(3).tolist()
    assert deferred(4).tolist() == resampled(4).tolist()
