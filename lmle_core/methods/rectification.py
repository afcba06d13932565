"""Class rectification: hard triplets of the batch's minority classes beside the cross-entropy."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lmle_core.losses import cross_entropy, euclidean
from lmle_core.methods.method import Lesson
from lmle_core.network import Network


@dataclass(frozen=True, eq=False)
class Rectification:
    """α L_crl + (1 − α) L_ce of each attribute with α = η Ω, meaned over the attributes; uniform batches.

    Attributes:
        lesson: what is taught.
        strength: η.
        margin: m, in units of the Euclidean distance on the unit sphere.
        hardest: κ, hard positives and hard negatives of an anchor.

    Source: Dong et al., Class Rectification Hard Mining for Imbalanced Deep Learning, ICCV 2017; hard samples
    by its instance level, the triplet form of its loss. The margin is a setting, and the imbalance Ω is in [0, 1) (see
    `imbalance`): choose η with it.
    """

    lesson: Lesson
    strength: float = 1.0
    margin: float = 0.5
    hardest: int = 25

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of an iteration."""
        output, labels = self.lesson.forward(network, self.lesson.uniform(iteration), iteration)
        rectified = class_rectification(
            output.embeddings, labels, self.lesson.classes, margin=self.margin, hardest=self.hardest
        )
        entropy = cross_entropy(output.logits, labels).mean(0)
        alpha = (self.strength * imbalance(self.lesson.shares)).clamp(max=1)
        loss = (alpha * rectified + (1 - alpha) * entropy).mean()
        return loss, {
            "loss_rectification": rectified.detach().mean(),
            "loss_cross_entropy": entropy.detach().mean(),
        }


def imbalance(shares: Tensor) -> Tensor:
    """Ω of each attribute, shape (A,): the share of a balanced set that its rarer classes lack, 1 − 1 / (C max π).

    The least addition of samples that balances the classes raises each to the size of the largest: from 1 to C · max π
    in all. Classes that do not occur count in C.

    Args:
        shares: π, shape (A, C).
    """
    return 1 - 1 / (shares.shape[1] * shares.amax(1))


def minorities(labels: Tensor, classes: int) -> Tensor:
    """The batch's minority classes, shape (A, C), bool: the smallest that together are at most half of the batch.

    Args:
        labels: shape (B, A).
        classes: C.

    Corner cases: of equal classes the lower comes first. A class without members is none. Two equal halves are one
    minority, the lower class.
    """
    counts = functional.one_hot(labels, classes).sum(0)
    rising, order = counts.sort(dim=1, stable=True)
    within = (2 * rising.cumsum(1) <= len(labels)) & (rising > 0)
    return torch.zeros_like(within).scatter(1, order, within)


def class_rectification(embeddings: Tensor, labels: Tensor, classes: int, *, margin: float, hardest: int) -> Tensor:
    """Mean hinge over the hard triplets of each attribute, shape (A,).

        Σ max(0, m + D(a, p) − D(a, n)) / |T|,   a of a minority class, p of its κ farthest members, n of the κ nearest
        images of other classes

    Args:
        embeddings: shape (B, A, d), unit length.
        labels: shape (B, A), int64.
        classes: C.
        margin: m.
        hardest: κ.

    Corner cases: an anchor alone in its class, or without other classes, has no triplet; an attribute without a triplet
    costs 0.

    Source: Dong et al., ICCV 2017, the triplet ("relative comparison") form of the loss.
    """
    by_attribute, own = embeddings.transpose(0, 1), labels.T  # (A, B, d), (A, B)
    attribute, anchor = torch.gather(minorities(labels, classes), 1, own).nonzero(as_tuple=True)
    distance = euclidean((by_attribute @ by_attribute.transpose(1, 2))[attribute, anchor])  # (Q, B)
    same = own[attribute] == own[attribute, anchor][:, None]
    itself = anchor[:, None] == torch.arange(len(labels), device=labels.device)
    farthest = distance.masked_fill(~same | itself, -torch.inf)
    nearest = distance.masked_fill(same, torch.inf)
    count = min(hardest, len(labels))
    positives, negatives = farthest.topk(count, dim=1).values, nearest.topk(count, dim=1, largest=False).values
    present = positives.isfinite()[:, :, None] & negatives.isfinite()[:, None, :]
    # The absent become 0 before the difference: no infinity may reach a gradient.
    positives, negatives = (values.masked_fill(~values.isfinite(), 0) for values in (positives, negatives))
    hinges = (margin + positives[:, :, None] - negatives[:, None, :]).clamp(min=0).masked_fill(~present, 0)
    sums = hinges.new_zeros(len(own)).index_add(0, attribute, hinges.sum((1, 2)))
    triplets = hinges.new_zeros(len(own)).index_add(0, attribute, present.sum((1, 2)).to(hinges.dtype))
    return sums / triplets.clamp(min=1)
