"""An attribute's rows in the order of class, cluster and row, in which every candidate set is one or two ranges."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NONE = -1


@dataclass(frozen=True, eq=False)
class Ordered:
    """One attribute's rows; a row's place is its number in this order.

    Attributes:
        features: float32 (M, D), by place.
        positions: int64 (M,), row at each place.
        classes: int64 (M, 2), first place of the place's class, and the one after its last.
        clusters: int64 (M, 2), the same of its cluster.
    """

    features: Tensor
    positions: NDArray[np.int64]
    classes: NDArray[np.int64]
    clusters: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        features: NDArray[np.float32] | Tensor,
        labels: NDArray[np.int8],
        clusters: NDArray[np.int32],
        device: torch.device,
    ) -> "Ordered":
        """Order the rows of one attribute: features (M, D), labels (M,), clusters (M,), each within one class."""
        positions = in_order(labels, clusters)
        if isinstance(features, np.ndarray):
            ordered = torch.from_numpy(features[positions]).to(device)
        else:
            ordered = features.to(device)[torch.from_numpy(positions).to(device)]
        return cls(ordered, positions, _runs(labels[positions]), _runs(clusters[positions]))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Place of each row, shape (M,)."""
        places = np.empty_like(self.positions)
        places[self.positions] = np.arange(len(places))
        return places


def in_order(labels: NDArray[np.int8], clusters: NDArray[np.int32]) -> NDArray[np.int64]:
    """The row at each place, of rows with these classes and clusters, all (M,)."""
    return np.lexsort((clusters, labels))


def named(places: Tensor, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What lies at some places, of any shape; `rows` (M,) names it by place. -1 stays -1."""
    return np.append(rows, NONE)[places.cpu().numpy()]  # -1 picks the appended -1


def run_bounds(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where runs of equal values begin, and after them the end of the last one; shape (R + 1,)."""
    return np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])


def _runs(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """First and one after the last place of the run of equal values that each place lies in, shape (M, 2)."""
    bounds = run_bounds(values)
    return np.repeat(np.stack([bounds[:-1], bounds[1:]], axis=1), np.diff(bounds), axis=0)
