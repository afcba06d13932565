"""One block of rows to its nearest centroids: the arithmetic that the torch and the Dask engine share."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array
from torch import Tensor

from lmle_core.kmeans.centroids import Centroids, Partial

FOREIGN = 1e30
"""Half squared norm of a slot of another class: farther than any, and finite, so that 0 times it is 0."""
CACHED = 20_480
"""Embeddings that a CPU takes at once, 512 rows of 40 attributes: they and their scores stay in its cache."""
SCORES = 1 << 28
"""Scores that another device holds at once."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Centroids on a device, ready for blocks.

    Attributes:
        negative: float32 (A, K, D), -c.
        bias: float32 (A, K, C), |c|²/2 for slots of the class and `FOREIGN` for all others.
    """

    negative: Tensor
    bias: Tensor


def prepare(values: Tensor, classes: Tensor, n_classes: int) -> Prepared:
    """Half squared norms, and each class's mask folded into them.

    Args:
        values: float32 (A, K, D).
        classes: int8 (A, K), -1: unused.
        n_classes: C.
    """
    own = classes[:, :, None] == torch.arange(n_classes, device=classes.device, dtype=torch.int8)
    half = (values * values).sum(-1, keepdim=True) / 2
    return Prepared(-values, half.expand(own.shape).masked_fill(~own, FOREIGN))


def prepare_centroids(centroids: Centroids, device: torch.device) -> Prepared:
    """Centroids from memory to a device, ready for blocks."""
    values, classes = (torch.tensor(array, device=device) for array in (centroids.values, centroids.classes))
    return prepare(values, classes, max(int(centroids.classes.max(initial=0)) + 1, 1))


def one_hot(labels: Tensor, n_classes: int) -> Tensor:
    """Labels int8 (b, A) as float32 (A, C, b)."""
    classes = torch.arange(n_classes, device=labels.device, dtype=torch.int8)
    return (labels.T.contiguous()[:, None] == classes[:, None]).float()


def nearest(features: Tensor, owners: Tensor, prepared: Prepared) -> tuple[Tensor, Tensor]:
    """The nearest slot of each row's own class, for each attribute.

    The nearest centroid has the least |c|²/2 - x·c: the row's own norm plays no part. The first term is itself a
    product, of the biases with the one-hot classes.

    Args:
        features: float32 (b, G, D), G = A or 1.
        owners: float32 (A, C, b), one-hot classes; each has a slot.
        prepared: the centroids.

    Returns:
        Slots, int64 (A, b), and the least scores, float32 (A, b).

    Corner cases: ties go to the lowest slot.
    """
    attributes, slots, dimensions = prepared.negative.shape
    # the lowest slot weighs most, so that the maximum over the slots at the least score is the lowest of them
    weights = torch.arange(slots, 0, -1, device=features.device, dtype=torch.float32)[:, None]
    scores = torch.bmm(prepared.bias, owners)
    if features.shape[1] == 1 < attributes:
        scores.view(attributes * slots, -1).addmm_(prepared.negative.view(-1, dimensions), features[:, 0].T)
    else:
        scores.baddbmm_(prepared.negative, features.permute(1, 2, 0))
    least = scores.amin(1)
    found = scores.eq_(least[:, None]).mul_(weights).amax(1).clamp_(min=1)  # not a number equals nothing
    return slots - found.long(), least


@dataclass(frozen=True, eq=False)
class Sums:
    """What a block adds up to, on its device.

    Attributes:
        sums: float64 (A, K, D), of the rows that went to each slot.
        counts: int64 (A, K), how many went there.
        inertia: float64 (A,), squared distances of the rows to their centroids.
    """

    sums: Tensor
    counts: Tensor
    inertia: Tensor

    def add(self, other: "Sums") -> "Sums":
        """The sum with another's."""
        return Sums(self.sums + other.sums, self.counts + other.counts, self.inertia + other.inertia)

    def partial(self) -> Partial:
        """The same in NumPy."""
        return Partial(self.sums.cpu().numpy(), self.counts.cpu().numpy(), self.inertia.cpu().numpy())


def assign_block(features: Tensor, labels: Tensor, prepared: Prepared) -> tuple[Sums, Tensor]:
    """Every row of a block to the nearest slot of its class.

    Args:
        features: float32 (b, G, D), G = A or 1.
        labels: int8 (b, A), each a class that has a slot.
        prepared: the centroids.

    Returns:
        What the block adds up to, and the slots, int32 (b, A).
    """
    attributes, k, dimensions = prepared.negative.shape
    device = features.device
    total = Sums(
        torch.zeros(attributes, k, dimensions, dtype=torch.float64, device=device),
        torch.zeros(attributes, k, dtype=torch.int64, device=device),
        torch.zeros(attributes, dtype=torch.float64, device=device),
    )
    found = torch.empty(labels.shape, dtype=torch.int32, device=device)
    owners = one_hot(labels, prepared.bias.shape[2])
    step = max(1, (CACHED if device.type == "cpu" else SCORES // k) // attributes)
    offsets = torch.arange(attributes, device=device)[:, None] * k
    for lo in range(0, len(features), step):
        some = slice(lo, lo + step)
        rows = features[some]
        slots, least = nearest(rows, owners[:, :, some], prepared)
        found[some] = slots.T
        squares = torch.linalg.vector_norm(rows, dim=-1).square_().sum(0, dtype=torch.float64)
        # |x - c|² = |x|² + 2 (|c|²/2 - x·c)
        total.inertia.add_(least.sum(1, dtype=torch.float64).mul_(2).add_(squares))
        places = (slots + offsets).view(-1)  # no bincount: on a GPU it asks how large its result is
        total.counts.view(-1).scatter_add_(0, places, torch.ones_like(places))
        total.sums.add_(add_up(rows, slots, k))
    total.inertia.clamp_(min=0)
    return total, found


def add_up(features: Tensor, slots: Tensor, k: int) -> Tensor:
    """Sums of a block's rows by slot, float32 (A, K, D); always in the same order.

    Args:
        features: float32 (b, G, D), G = A or 1.
        slots: int64 (A, b).
        k: K.

    Corner cases: on a CPU one row is added after the other; elsewhere the rows are multiplied with their one-hot slots,
    since atomic additions have no fixed order.
    """
    attributes, rows = slots.shape
    groups, dimensions = features.shape[1:]
    if features.device.type != "cpu":
        chosen = (slots[:, None] == torch.arange(k, device=slots.device)[:, None]).float()
        return torch.matmul(chosen, features.transpose(0, 1))
    ones, starts = _columns(rows, attributes, groups)
    places = (slots + torch.arange(attributes)[:, None] * k).T.to(torch.int32).reshape(-1).numpy()
    members = csc_array((ones, places, starts), shape=(attributes * k, rows * groups))
    return torch.from_numpy(members @ features.reshape(-1, dimensions).numpy()).view(attributes, k, dimensions)


@lru_cache(maxsize=16)
def _columns(rows: int, attributes: int, groups: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The ones and the column starts of a matrix that sends each embedding to its slots."""
    step = attributes // groups
    return np.ones(rows * attributes, np.float32), np.arange(0, rows * attributes + 1, step, dtype=np.int32)
