"""Objectives over the classifier's logits: cross-entropy, its remedies for imbalance, and re-sampled batches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmle_core.losses import cross_entropy
from lmle_core.methods.method import Lesson
from lmle_core.network import Network
from lmle_core.sampling import ClassEqual, Resampled, Sampler

DEFERRED = 0.8
"""Share of the iterations after which label-distribution-aware margins are joined by class weights."""
EFFECTIVE = 0.9999
"""β of the effective number of samples."""

LogitLoss = Callable[[Tensor, Tensor, int], Tensor]
"""Unreduced loss (B, A) of logits (B, A, C) and labels (B, A) at an iteration."""


@dataclass(frozen=True, eq=False)
class OverLogits:
    """The mean over a batch and all attributes of a loss of the logits.

    Attributes:
        lesson: what is taught.
        sampler: batches.
        loss: of each image and attribute.
    """

    lesson: Lesson
    sampler: Sampler
    loss: LogitLoss

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of an iteration, and the plain cross-entropy beside it."""
        output, labels = self.lesson.forward(network, self.sampler(iteration), iteration)
        loss = self.loss(output.logits, labels, iteration).mean()
        return loss, {"loss_cross_entropy": cross_entropy(output.logits.detach(), labels).mean()}


def plain(lesson: Lesson) -> OverLogits:
    """Multi-task cross-entropy."""
    return OverLogits(lesson, lesson.uniform, lambda z, y, _: cross_entropy(z, y))


def class_weighted(lesson: Lesson, *, exponent: float = 1.0) -> OverLogits:
    """Cross-entropy in which a class weighs share^−exponent; see `share_weights`."""
    weights = share_weights(lesson.shares, exponent)
    return OverLogits(lesson, lesson.uniform, lambda z, y, _: of_class(weights, y) * cross_entropy(z, y))


def focal(lesson: Lesson, *, gamma: float = 2.0) -> OverLogits:
    """The focal loss; see `focal_loss`."""
    return OverLogits(lesson, lesson.uniform, lambda z, y, _: focal_loss(z, y, gamma))


def label_margin(lesson: Lesson, *, margin: float = 0.5, scale: float = 10.0) -> OverLogits:
    """Label-distribution-aware margins, with class weights by effective number in the last fifth of the training.

    The published loss has cosine logits. The classifier here has a bias and free norms, and its argmax decides, so s·Δ
    is taken off the ordinary logit: `scale` plays the part of s for the margin alone. Weights average to 1 over the
    training samples of each attribute, so that rare classes do not make an attribute count less than others.

    Args:
        lesson: what is taught.
        margin: the largest Δ of each attribute, that of its rarest class.
        scale: s.

    Source: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019, eq. 9
    to 13 and algorithm 1; weights of Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.
    """
    margins = scale * class_margins(lesson.shares, margin)
    weights = effective_weights(lesson.shares, len(lesson.images))

    def loss(logits: Tensor, labels: Tensor, iteration: int) -> Tensor:
        unweighted = cross_entropy(logits, labels, margins)
        return unweighted if iteration < DEFERRED * lesson.iterations else of_class(weights, labels) * unweighted

    return OverLogits(lesson, lesson.uniform, loss)


def additive_margin(lesson: Lesson, *, margin: float = 1.0) -> OverLogits:
    """Cross-entropy after a margin is taken off the label's logit; see `lmle_core.losses.cross_entropy`."""
    return OverLogits(lesson, lesson.uniform, lambda z, y, _: cross_entropy(z, y, margin))


def logit_adjusted(lesson: Lesson, *, strength: float = 1.0) -> OverLogits:
    """Cross-entropy of logits + τ log π, `strength` being τ; decided by the plain argmax. With τ = 1: balanced softmax.

    Source: Menon et al., Long-tail learning via logit adjustment, ICLR 2021, eq. 10; Ren et al., Balanced Meta-Softmax
    for Long-Tailed Visual Recognition, NeurIPS 2020.
    """
    offsets = strength * lesson.shares.log()
    return OverLogits(lesson, lesson.uniform, lambda z, y, _: cross_entropy(z + offsets, y))


def resampled(lesson: Lesson) -> OverLogits:
    """Plain cross-entropy over batches that balance the classes: `ClassEqual` of one attribute, `Resampled` of more."""
    return OverLogits(lesson, _balanced(lesson), lambda z, y, _: cross_entropy(z, y))


def deferred_resampled(lesson: Lesson, *, margin: float = 1.0) -> OverLogits:
    """`additive_margin`, over batches that balance the classes once LMLE's pre-training is over.

    With one attribute this is LMLE's training without the embedding: the same margin, batches and learning rates.

    Source: Cao et al., NeurIPS 2019, deferred re-sampling (DRS).
    """
    uniform, balanced = lesson.uniform, _balanced(lesson)

    def batches(iteration: int) -> np.ndarray:
        return uniform(iteration) if iteration < lesson.pretraining else balanced(iteration)

    return OverLogits(lesson, batches, lambda z, y, _: cross_entropy(z, y, margin))


def _balanced(lesson: Lesson) -> Sampler:
    labels, batch = lesson.labels.cpu().numpy(), lesson.config.training.batch
    if labels.shape[1] == 1:
        return ClassEqual(labels[:, 0], batch, lesson.seed)
    return Resampled(labels, batch, lesson.seed)


def focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """−(1 − p_t)^γ log p_t, shape (B, A), p_t being the probability of the label.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, eq. 4; without its class weights.
    """
    surprise = cross_entropy(logits, labels)
    return (-torch.expm1(-surprise)).clamp(min=1e-12) ** gamma * surprise


def of_class(values: Tensor, labels: Tensor) -> Tensor:
    """The value of each label, shape (B, A), of values (A, C)."""
    return torch.gather(values, 1, labels.T).T


def share_weights(shares: Tensor, exponent: float) -> Tensor:
    """Weight of each class, shape (A, C), proportional to share^−exponent; its mean over the samples is 1.

    Corner cases: a class without samples weighs 0. An exponent of 1 is `losses.class_costs`, of 0 no weights.
    """
    raw = torch.where(shares > 0, shares.clamp(min=1e-12) ** -exponent, torch.zeros_like(shares))
    return raw / (shares * raw).sum(1, keepdim=True)


def effective_weights(shares: Tensor, images: int, beta: float = EFFECTIVE) -> Tensor:
    """Weight of each class, shape (A, C), proportional to (1 − β) / (1 − β^n); its mean over the samples is 1.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

    Corner cases: a class without samples weighs 0.
    """
    counts = shares.double() * images
    raw = torch.where(counts > 0, 1 / (1 - beta ** counts.clamp(min=0.5)), torch.zeros_like(counts))
    return (raw / (shares * raw).sum(1, keepdim=True)).float()


def class_margins(shares: Tensor, largest: float) -> Tensor:
    """Δ of each class, shape (A, C), proportional to n^−1/4, the largest of each attribute being `largest`.

    Source: Cao et al., NeurIPS 2019, eq. 9 to 13.

    Corner cases: a class without samples has no margin.
    """
    raw = torch.where(shares > 0, shares.clamp(min=1e-12) ** -0.25, torch.zeros_like(shares))
    return largest * raw / raw.amax(1, keepdim=True)
