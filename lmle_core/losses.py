"""The losses: triple-header hinge, softmax ratio over clusters and classes, and multi-task cross-entropy. Unreduced."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class QuintupletDistances(NamedTuple):
    """Distances of Q anchors to p+, p−, p−− and n, each of shape (Q,), and which of the four exist, (Q, 4) bool."""

    own_cluster: Tensor
    near_cluster: Tensor
    far_cluster: Tensor
    impostor: Tensor
    present: Tensor


@dataclass(frozen=True)
class Headers:
    """A loss by its parts.

    Attributes:
        parts: shape (3, Q) for the hinge, (2, Q) for class and cluster of the others; 0 where masked.
        valid: same shape, bool: the parts that exist.
    """

    parts: Tensor
    valid: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the parts, shape (Q,)."""
        return self.parts.sum(0)

    def means(self) -> Tensor:
        """Mean of each part over the anchors that have it."""
        return self.parts.detach().sum(1) / self.valid.sum(1).clamp(min=1)

    def active_share(self) -> Tensor:
        """Share of the anchors with at least one valid part whose loss is above zero."""
        anchors = self.valid.any(0)
        return ((self.total.detach() > 1e-6) & anchors).sum() / anchors.sum().clamp(min=1)


def euclidean(similarity: Tensor, *, squared: bool = False) -> Tensor:
    """Distance on the unit sphere from cosine similarity: sqrt(2 − 2 s), or its square.

    The root is taken above 1e-8, so that its gradient is finite for coinciding points.
    """
    distance = (2 - 2 * similarity).clamp(min=1e-8)
    return distance if squared else distance.sqrt()


def triple_header_hinge(distances: QuintupletDistances, margins: Tensor) -> Headers:
    """Three hinges that keep the four distances of each quintuplet in order.

        max(0, g1 + D(p+) − D(p−)) + max(0, g2 + D(p−) − D(p−−)) + max(0, g3 + D(p−−) − D(n))

    Args:
        distances: anchor-to-member distances.
        margins: g1, g2, g3 in the units of the distance, shape (3,) or (3, Q).

    Returns:
        Headers with parts of shape (3, Q), non-negative.

    Source: Huang et al., Learning Deep Representation for Imbalanced Classification, CVPR 2016, eq. 4.

    Corner cases: an anchor whose class has a single cluster has no p− and p−−; its first two hinges are masked to 0,
    and its third compares p+ with n. An anchor alone in its cluster has no p+; its first hinge is masked. Without an
    impostor the third is masked.
    """
    near, far = distances.present[:, 1], distances.present[:, 2]
    positive = torch.where(far, distances.far_cluster, distances.own_cluster)
    has_positive = far | distances.present[:, 0]
    raw = torch.stack(
        [
            distances.own_cluster - distances.near_cluster,
            distances.near_cluster - distances.far_cluster,
            positive - distances.impostor,
        ]
    )
    margins = margins if margins.dim() == 2 else margins[:, None]
    valid = torch.stack([distances.present[:, 0] & near, near & far, has_positive & distances.present[:, 3]])
    return Headers(torch.where(valid, (raw + margins).clamp(min=0), raw.new_zeros(())), valid)


def softmax_ratio(
    embeddings: Tensor,
    clusters: Tensor,
    cluster_class: Tensor,
    *,
    temperature: float,
    margin: float,
    weight: float,
    adjusted: bool = False,
) -> Headers:
    """Quintuplets by a soft extreme: every batch member takes part, weighted by its similarity to the anchor.

        softplus((m + M(other classes) − M(own class)) / τ) + λ softplus((m + M(own class, other clusters) − M(own
        cluster)) / τ),   M(S) = τ log( Σ_{j ∈ S} exp(s_ij / τ) / |S| )

    Adjusted, the sums are not divided by |S| in the loss: M(class) + τ log |class| then fits the posterior, so M
    itself, which the decision compares, fits the likelihood of the class, free of its share. Anchors then all count
    alike, and no class cost is needed.

    Args:
        embeddings: shape (B, A, d), unit length.
        clusters: shape (B, A), int64, each image's cluster within the attribute, numbered over all its classes.
        cluster_class: shape (A, K), the class of each cluster, −1 for none.
        temperature: τ.
        margin: m, in units of cosine similarity.
        weight: λ, of the cluster header.
        adjusted: sums instead of means.

    Returns:
        Headers with parts of shape (2, A · B): class header, weighted cluster header; anchors ordered by attribute.

    Corner cases: the anchor itself is in no set; a header with an empty set is masked to 0.

    Source of the adjustment: Menon et al., Long-tail learning via logit adjustment, ICLR 2021, eq. 10.
    """
    number, attributes = len(embeddings), embeddings.shape[1]
    by_attribute = embeddings.transpose(0, 1)  # (A, B, d)
    # exp((s − 1) / τ) is at most 1 and at least exp(−2/τ): no overflow, no underflow. An anchor's own weight is 0.
    shift = embeddings.new_full((number, number), -1 / temperature).fill_diagonal_(-torch.inf)
    weights = torch.baddbmm(
        shift.expand(attributes, -1, -1), by_attribute, by_attribute.transpose(1, 2), alpha=1 / temperature
    ).exp_()
    assigned = clusters.T  # (A, B)
    members = functional.one_hot(assigned, cluster_class.shape[1]).to(weights.dtype)  # (A, B, K)
    sums = weights @ members  # (A, B, K): from each anchor to each cluster
    counts = members.sum(1, keepdim=True) - members  # without the anchor
    own_cluster = members.bool()
    anchor_class = torch.gather(cluster_class, 1, assigned)
    own_class = anchor_class[:, :, None] == cluster_class[:, None, :]

    def soft_extreme(mask: Tensor) -> tuple[Tensor, Tensor]:
        count = (counts * mask).sum(-1)
        total = (sums * mask).sum(-1)
        present = count > 0
        total = torch.where(present, total, torch.ones_like(total))
        if not adjusted:
            total = total / count.clamp(min=1)
        return total.clamp(min=1e-30).log(), present

    own, has_own = soft_extreme(own_class)
    other, has_other = soft_extreme(~own_class & (cluster_class >= 0)[:, None, :])
    near, has_near = soft_extreme(own_cluster)
    far, has_far = soft_extreme(own_class & ~own_cluster)
    valid = torch.stack([has_own & has_other, has_near & has_far])
    raw = torch.stack(
        [
            functional.softplus(other - own + margin / temperature),
            weight * functional.softplus(far - near + margin / temperature),
        ]
    )
    return Headers(torch.where(valid, raw, raw.new_zeros(())).flatten(1), valid.flatten(1))


def cross_entropy(logits: Tensor, labels: Tensor, margins: Tensor | float = 0.0) -> Tensor:
    """Multi-task cross-entropy with a margin: of the logits after that of its class is taken off the label's.

    Args:
        logits: shape (B, A, C); for two classes it is BCE.
        labels: shape (B, A).
        margins: in units of the logits, of each class, (A, C), or one for all.

    Returns:
        Unreduced, shape (B, A).

    Source of the margin: Wang et al., Additive Margin Softmax for Face Verification, IEEE SPL 2018, eq. 6, with the
    ordinary logit in the place of the scaled cosine.
    """
    labels = labels.long()
    own = margins * functional.one_hot(labels, logits.shape[2])
    return functional.cross_entropy((logits - own).flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


def class_costs(labels: Tensor, classes: int) -> Tensor:
    """Cost 1 / (C p) of each class of each attribute, shape (A, C), for labels (N, A); its mean over samples is 1.

    Corner cases: a class without samples costs 0, and C counts the classes that occur.
    """
    counts = torch.stack([(labels == c).sum(0) for c in range(classes)], dim=1).double()
    present = counts > 0
    share = counts / len(labels)
    costs = torch.where(present, 1 / share.clamp(min=1e-12), torch.zeros_like(share))
    return (costs / present.sum(1, keepdim=True)).float()
