"""One block of rows to its nearest centroids: the arithmetic that the torch and the Dask engine share."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from lmle_core.kmeans.centroids import Centroids, Partial, partial_of

SCORES = 1 << 26
"""Scores that a device holds at once; on a CPU, one attribute at a time keeps them in cache."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Centroids on a device, ready for blocks.

    Attributes:
        values: float32 (A, D, K).
        bias: float32 (A, C, K), |c|²/2 for slots of the class and +inf for all others.
    """

    values: Tensor
    bias: Tensor


def prepare(centroids: Centroids, device: torch.device) -> Prepared:
    """Half squared norms, and each class's mask folded into them."""
    values = torch.tensor(centroids.values, device=device)
    classes = torch.tensor(centroids.classes, device=device)
    n_classes = max(int(centroids.classes.max(initial=0)) + 1, 1)
    foreign = classes[:, None, :] != torch.arange(n_classes, device=device, dtype=torch.int8)[:, None]
    half = (values * values).sum(-1) / 2
    bias = half[:, None, :].expand(foreign.shape).masked_fill(foreign, torch.inf)
    return Prepared(values.transpose(1, 2).contiguous(), bias)


def nearest_slots(features: Tensor, labels: Tensor, prepared: Prepared) -> Tensor:
    """The nearest slot of each row's own class, for each attribute.

    The nearest centroid has the least |c|²/2 - x·c: the row's own norm plays no part.

    Args:
        features: float32 (b, G, D), G = A or 1.
        labels: int8 (b, A), each a class that has a slot.
        prepared: the centroids.

    Returns:
        int64 (A, b).

    Corner cases: ties go to the lowest slot.
    """
    attributes, _, slots = prepared.values.shape
    rows = features.transpose(0, 1).expand(attributes, -1, -1)
    own = labels.T.long()
    step = 1 if features.device.type == "cpu" else max(1, SCORES // max(1, len(features) * slots))
    nearest = []
    for lo in range(0, attributes, step):
        hi = min(lo + step, attributes)
        bias = prepared.bias[lo:hi].gather(1, own[lo:hi, :, None].expand(-1, -1, slots))
        nearest.append(torch.baddbmm(bias, rows[lo:hi], prepared.values[lo:hi], alpha=-1).min(-1)[1])
    return torch.cat(nearest)


def add_up(features: Tensor, slots: Tensor, centroids: Centroids) -> Partial:
    """Sums, counts and inertia of a block that has been assigned.

    Args:
        features: float32 (b, G, D), G = A or 1.
        slots: int64 (A, b).
        centroids: those that the rows were assigned to.

    Corner cases: on a CPU rows are added one after another, for shared features by one sparse product over all
    attributes; elsewhere by a product with the one-hot slots, since atomic additions have no fixed order. All are
    float64.
    """
    attributes, k, dimensions = centroids.values.shape
    offsets = torch.arange(attributes, device=slots.device)[:, None] * k
    counts = torch.bincount((slots + offsets).reshape(-1), minlength=attributes * k).reshape(attributes, k)
    rows = features.transpose(0, 1).expand(attributes, -1, -1)
    sums = torch.zeros(attributes, k, dimensions, dtype=torch.float64, device=features.device)
    squares = torch.empty(attributes, dtype=torch.float64, device=features.device)
    if features.device.type == "cpu" and features.shape[1] == 1:
        doubled = features[:, 0].double()
        squares.fill_((doubled * doubled).sum())
        members = csr_array(
            (
                np.ones(slots.numel()),
                slots.argsort(stable=True).reshape(-1).numpy(),
                np.concatenate([[0], counts.reshape(-1).numpy().cumsum()]),
            ),
            shape=(attributes * k, len(features)),
        )
        sums = torch.from_numpy(members @ doubled.numpy()).reshape(attributes, k, dimensions)
    elif features.device.type == "cpu":
        for attribute in range(attributes):
            doubled = rows[attribute].double()
            sums[attribute].index_add_(0, slots[attribute], doubled)
            squares[attribute] = (doubled * doubled).sum()
    else:
        step = max(1, SCORES // max(1, len(features) * k))
        for lo in range(0, attributes, step):
            hi = min(lo + step, attributes)
            doubled = rows[lo:hi].double()
            one_hot = torch.zeros(hi - lo, len(features), k, dtype=torch.float64, device=features.device)
            one_hot.scatter_(2, slots[lo:hi, :, None], 1)
            torch.bmm(one_hot.transpose(1, 2), doubled, out=sums[lo:hi])
            squares[lo:hi] = (doubled * doubled).sum((1, 2))
    return partial_of(sums.cpu().numpy(), counts.cpu().numpy(), squares.cpu().numpy(), centroids)


def assign_block(
    features: Tensor, labels: Tensor, centroids: Centroids, prepared: Prepared
) -> tuple[Partial, NDArray[np.int32]]:
    """A block's partial, and the slot of each of its rows, int32 (b, A)."""
    slots = nearest_slots(features, labels, prepared)
    return add_up(features, slots, centroids), slots.T.to(torch.int32).cpu().numpy()
