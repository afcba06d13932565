"""What one round of training sees, how it embeds it meanwhile, and what is logged of its loss."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmle_core.config import Config
from lmle_core.device import DeviceImages, on_device, seeded_generator
from lmle_core.distributed.ranks import gathered, share
from lmle_core.features import BATCH
from lmle_core.losses import Headers
from lmle_core.network import Network


@dataclass(frozen=True)
class Round:
    """What one round of training sees, on the device.

    Attributes:
        images: the training images.
        labels: shape (M, A), int64.
        assignment: the round's cluster of each image, shape (M, A), int64, numbered over all classes.
        cluster_class: class of each cluster, shape (A, K), int64, −1 for none.
        shares: of each class in training, shape (A, C), float32.
        costs: of each class, shape (A, C); ones where the batches themselves balance the classes.
        margins: g1, g2, g3 for the anchors of each class, shape (3, A, C).
        config: the run's configuration.
        seed: what batches, augmentation and pools are drawn from, besides the iteration.
    """

    images: DeviceImages
    labels: Tensor
    assignment: Tensor
    cluster_class: Tensor
    shares: Tensor
    costs: Tensor
    margins: Tensor
    config: Config
    seed: tuple[int, ...]

    def on_device(self, positions: np.ndarray) -> Tensor:
        """Positions as an index tensor on the device."""
        return on_device(positions, self.labels.device)

    def generator(self, iteration: int) -> torch.Generator:
        """Draws the pools of an iteration."""
        return seeded_generator((*self.seed, iteration, 1), self.labels.device)


@torch.no_grad()
def embedded(network: Network, images: DeviceImages, positions: np.ndarray) -> Tensor:
    """Embeddings, shape (n, A, d), of images as they are, by a network in training; its statistics stay as they are."""
    own = positions[share(len(positions))]
    network.eval()
    parts = [network(images(own[low : low + BATCH])).embeddings for low in range(0, max(1, len(own)), BATCH)]
    network.train()
    return gathered(torch.cat(parts), len(positions))


def figures_of(headers: Headers, kind: str) -> dict[str, Tensor]:
    """What is logged of a loss: the mean of each part, and the share of anchors that still have one."""
    names = ("loss_header_1", "loss_header_2", "loss_header_3") if kind == "hinge" else ("loss_class", "loss_cluster")
    return {**dict(zip(names, headers.means(), strict=True)), "active_share": headers.active_share()}
