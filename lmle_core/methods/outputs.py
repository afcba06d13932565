"""What a network makes of the images of a split, and what the decision rules have in common."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.config import Config

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network makes of the n images of one split, beside their labels.

    Attributes:
        logits: float32 (n, A, C), of the classifier.
        embeddings: float32 (n, A, d), unit length.
        features: float32 (n, F), standardised trunk features, scaled to unit length.
        labels: int8 (n, A), as annotated.
        device: where a rule may compute on them.

    Raises:
        ValueError: where the shapes do not fit each other.
    """

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    features: NDArray[np.float32]
    labels: NDArray[np.int8]
    device: torch.device = CPU

    def __post_init__(self) -> None:
        n, attributes = self.labels.shape
        wanted = {"logits": (n, attributes), "embeddings": (n, attributes), "features": (n,)}
        for name, leading in wanted.items():
            shape = getattr(self, name).shape
            if shape[:-1] != leading:
                raise ValueError(f"{name}: expected ({', '.join(map(str, leading))}, ·) as the labels, found {shape}")

    def points(self, space: str) -> NDArray[np.float32]:
        """The 'embeddings' (n, A, d), or the 'features' as (n, 1, F): one for all attributes."""
        return self.embeddings if space == "embeddings" else self.features[:, None]


Scorer = Callable[[Outputs], NDArray[np.float32]]
"""Scores (n, A, C) of the images of a split; their labels are not looked at."""

Rule = Callable[[Outputs, Outputs, NDArray[np.float32], Config], Scorer]
"""Fits a decision to the training and validation outputs and the training shares (A, C)."""
