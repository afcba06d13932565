"""Angular margins to the centroids of the round's clusters, which move with the network."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lmle_core.centroid_margin import centroid_margin
from lmle_core.distributed.ranks import of_first
from lmle_core.network import Network
from lmle_core.prior import forwarded
from lmle_core.sampling import Sampler
from lmle_core.training.batch_mode import weighed
from lmle_core.training.context import Round, embedded

SAMPLE = 4096
"""Training images, at most, whose embeddings the centroids are means of."""


@dataclass
class CentroidObjective:
    """Every image of a batch is an anchor of every attribute, against the centroids of the round's clusters.

    Every `quintuplets.redraw` iterations the centroids move to the means of the clusters' members, embedded by the
    network as it is then, in a random sample of the training images.

    Corner cases: a cluster without a member in the sample is at its class's mean until the next sample, and at no
    distance from anything (all cosines 0) where its class has none either.
    """

    round: Round
    sampler: Sampler
    _centroids: Tensor | None = field(init=False, default=None)

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The class-cost weighted mean over anchors and attributes, plus the weighted BCE."""
        config = self.round.config
        if self._centroids is None or iteration % config.quintuplets.redraw == 0:
            self._move(network, iteration)
        assert self._centroids is not None
        positions = self.sampler(iteration)
        output = forwarded(network, self.round.images, positions, config, (*self.round.seed, iteration))
        picks = self.round.on_device(positions)
        class_margin, cluster_margin = config.loss.angles
        headers = centroid_margin(
            output.embeddings,
            self.round.assignment[picks],
            self._centroids,
            self.round.cluster_class,
            self.round.shares,
            scale=1 / config.loss.temperature,
            class_margin=class_margin,
            cluster_margin=cluster_margin,
            weight=config.loss.cluster_weight,
        )
        return weighed(self.round, output, picks, headers)

    @torch.no_grad()
    def _move(self, network: Network, iteration: int) -> None:
        """The mean embedding of each cluster, scaled to unit length, (A, K, d)."""
        generator = np.random.default_rng((*self.round.seed, iteration, 2))
        number = len(self.round.images)
        sample = np.sort(generator.choice(number, min(SAMPLE, number), replace=False))
        embeddings = embedded(network, self.round.images, sample)
        members = functional.one_hot(
            self.round.assignment[self.round.on_device(sample)].T, self.round.cluster_class.shape[1]
        ).to(embeddings.dtype)  # (A, S, K)
        sums = members.transpose(1, 2) @ embeddings.transpose(0, 1)
        siblings = self.round.cluster_class[:, :, None] == self.round.cluster_class[:, None, :]  # (A, K, K)
        of_class = siblings.to(sums.dtype) @ sums
        means = functional.normalize(torch.where(members.any(1)[..., None], sums, of_class), dim=-1)
        self._centroids = of_first(means)
