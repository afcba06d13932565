"""The decision rule over distances to any centroids, each of its class."""

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.rule import decide


def large_margin_rule(
    distances: NDArray[np.floating], classes: NDArray[np.integer], n_classes: int, *, squared: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float64]]:
    """Labels, margins and scores of queries (..., k), from their distances to centroids of these classes; -1: none."""
    given = torch.from_numpy(distances)
    own = [torch.from_numpy(classes == label) for label in range(n_classes)]
    nearest = [given.masked_fill(~mine, torch.inf).amin(-1) for mine in own]
    farthest = [given.masked_fill(~mine, -torch.inf).amax(-1) for mine in own]
    labels, margins, scores = decide(nearest, farthest, squared=squared)
    return labels.numpy(), margins.numpy(), torch.stack(scores, -1).numpy()
