"""Cluster-wise angular margins: an anchor against the centroids of its class, its cluster, and all others (CLMLE)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from lmle_core.losses import Headers


def centroid_margin(
    embeddings: Tensor,
    clusters: Tensor,
    centroids: Tensor,
    centroid_class: Tensor,
    shares: Tensor,
    *,
    scale: float,
    class_margin: float,
    cluster_margin: float,
    weight: float,
) -> Headers:
    """Cross-entropy of the anchor's class over the classes, and of its cluster over the clusters of its class.

        −log softmax_c( s cos(θ_c + m1 [c = y]) + log π_c )_y − λ log softmax_k( s cos(θ_k + m2 [k = own]) )_own,

    θ_k being the angle to centroid k and θ_c that to the nearest centroid of class c; k runs over the clusters of y.
    The class term fits the posterior with log π added, so that the nearest centroid decides by likelihood, free of the
    class's share, and no class cost is needed.

    Args:
        embeddings: shape (B, A, d), unit length.
        clusters: shape (B, A), int64, each image's cluster within the attribute, numbered over all its classes.
        centroids: shape (A, K, d), unit length; constant within a round.
        centroid_class: shape (A, K), the class of each centroid, −1 for none.
        shares: π, shape (A, C).
        scale: s.
        class_margin: m1, radians.
        cluster_margin: m2, radians, smaller.
        weight: λ, of the cluster header.

    Returns:
        Headers with parts of shape (2, A · B): class header, weighted cluster header; anchors ordered by attribute.

    Source: Huang et al., Deep Imbalanced Learning for Face Recognition and Attribute Prediction, TPAMI 2019
    (margins between the clusters of a class and between classes), its terms over batch members as softmax over
    centroids; the adjustment of Menon et al., Long-tail learning via logit adjustment, ICLR 2021, eq. 10.

    Corner cases: a class without centroids, or with a share of 0, is no rival. An anchor of an attribute with one class
    only has its class header masked to 0, an anchor of a class with a single cluster its cluster header.
    """
    classes, assigned = shares.shape[1], clusters.T  # (A, B)
    cosine = embeddings.transpose(0, 1) @ centroids.to(embeddings.dtype).transpose(1, 2)  # (A, B, K)
    anchor_class = torch.gather(centroid_class, 1, assigned)

    of_class = centroid_class[:, None, :] == torch.arange(classes, device=clusters.device)[:, None]  # (A, C, K)
    nearest = torch.stack(
        [cosine.masked_fill(~of_class[:, None, c], -2).amax(2) for c in range(classes)], dim=2
    )  # (A, B, C)
    rivals = (of_class.any(2) & (shares > 0))[:, None].expand(nearest.shape)
    offsets = shares.to(cosine.dtype).clamp(min=1e-12).log()[:, None]
    entropy = _margin_softmax(nearest, anchor_class, rivals, scale, class_margin, offsets)
    has_rival = rivals.sum(2) > 1

    siblings = centroid_class[:, None, :] == anchor_class[:, :, None]
    within = _margin_softmax(cosine, assigned, siblings, scale, cluster_margin)
    has_sibling = siblings.sum(2) > 1

    valid = torch.stack([has_rival, has_sibling])
    raw = torch.stack([entropy, weight * within])
    return Headers(torch.where(valid, raw, raw.new_zeros(())).flatten(1), valid.flatten(1))


def widened(cosine: Tensor, margin: float) -> Tensor:
    """cos(θ + m) of cos θ, gone on with beyond θ + m = π so that it falls everywhere: −2 − cos(θ + m) there.

    Source: Liu et al., SphereFace, CVPR 2017, the extension; the additive margin of Deng et al., ArcFace,
    CVPR 2019, eq. 3.
    """
    sine = (1 - cosine.square()).clamp(min=1e-8).sqrt()
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine < -math.cos(margin), -2 - moved, moved)


def _margin_softmax(
    cosine: Tensor, own: Tensor, among: Tensor, scale: float, margin: float, offsets: Tensor | float = 0.0
) -> Tensor:
    """−log softmax, shape (A, B), of the own entry of the cosines (A, B, N), among the entries of a mask."""
    mine = functional.one_hot(own, cosine.shape[2]).bool()
    logits = scale * torch.where(mine, widened(cosine, margin), cosine) + offsets
    logits = logits.masked_fill(~(among | mine), -1e9)  # finite: its gradient is 0, and no difference is NaN
    return torch.logsumexp(logits, 2) - torch.gather(logits, 2, own[:, :, None])[..., 0]
