"""A lesson: what the objective of a method is made from."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lmle_core.config import Config
from lmle_core.device import DeviceImages, on_device
from lmle_core.network import Network, Output
from lmle_core.prior import forwarded
from lmle_core.sampling import Uniform


@dataclass(frozen=True, eq=False)
class Lesson:
    """The training images with their labels, and how long they are taught.

    Attributes:
        images: the training images, M of them.
        labels: shape (M, A), int64, on the images' device.
        classes: C, for all attributes.
        shares: shape (A, C), float32, share of each class in training, on the images' device.
        config: batch size and augmentation.
        seed: what batches and augmentation are drawn from, besides the iteration.
        iterations: of the whole training.
        pretraining: how many of them LMLE is pre-trained for; the learning rate stays at its peak until then.
    """

    images: DeviceImages
    labels: Tensor
    classes: int
    shares: Tensor
    config: Config
    seed: tuple[int, ...]
    iterations: int
    pretraining: int

    @property
    def uniform(self) -> Uniform:
        """Batches of the configured size in which every image counts alike."""
        return Uniform(len(self.images), self.config.training.batch, self.seed)

    def forward(self, network: Network, positions: np.ndarray, iteration: int) -> tuple[Output, Tensor]:
        """What a network makes of augmented images, and their labels (B, A).

        Args:
            network: on the images' device.
            positions: shape (B,), of the images within the lesson.
            iteration: what the augmentation is drawn from, besides the seed.
        """
        output = forwarded(network, self.images, positions, self.config, (*self.seed, iteration))
        return output, self.labels[on_device(positions, self.labels.device)]
