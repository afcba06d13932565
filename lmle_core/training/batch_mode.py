"""The 'batch' mode: quintuplets among the members of a batch, by the round's clusters."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lmle_core.batch_quintuplets import batch_quintuplet_distances
from lmle_core.losses import Headers, cross_entropy, softmax_ratio, triple_header_hinge
from lmle_core.network import Network, Output
from lmle_core.prior import forwarded
from lmle_core.sampling import Sampler
from lmle_core.training.context import Round, figures_of


@dataclass(frozen=True)
class BatchObjective:
    """'batch' mode: every image is forwarded once and is an anchor of every attribute."""

    round: Round
    sampler: Sampler

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The class-cost weighted mean over anchors and attributes, plus the weighted BCE."""
        positions = self.sampler(iteration)
        output = forwarded(network, self.round.images, positions, self.round.config, (*self.round.seed, iteration))
        picks = self.round.on_device(positions)
        return weighed(self.round, output, picks, self._headers(output, picks, iteration))

    def _headers(self, output: Output, picks: Tensor, iteration: int) -> Headers:
        loss, pools = self.round.config.loss, self.round.config.quintuplets
        clusters = self.round.assignment[picks]
        if loss.kind == "softmax-ratio":
            return softmax_ratio(
                output.embeddings,
                clusters,
                self.round.cluster_class,
                temperature=loss.temperature,
                margin=loss.margin,
                weight=loss.cluster_weight,
                adjusted=loss.adjusted,
            )
        distances = batch_quintuplet_distances(
            output.embeddings,
            clusters,
            self.round.cluster_class,
            positives=pools.positives or len(picks),
            impostors=pools.impostors or len(picks),
            generator=self.round.generator(iteration),
            squared=loss.squared,
        )
        margins = torch.gather(self.round.margins, 2, self.round.labels[picks].T.expand(3, -1, -1)).flatten(1)
        return triple_header_hinge(distances, margins)


def weighed(round_: Round, output: Output, picks: Tensor, headers: Headers) -> tuple[Tensor, dict[str, Tensor]]:
    """The class-cost weighted mean of the headers over a batch's anchors and attributes, plus the weighted BCE."""
    loss, labels = round_.config.loss, round_.labels[picks]
    costs = torch.gather(round_.costs, 1, labels.T).flatten()  # (A · B,), ordered by attribute
    total = loss.embedding_weight * (costs * headers.total).mean()
    figures = figures_of(headers, loss.kind)
    if loss.bce_weight:
        bce = cross_entropy(output.logits, labels, loss.bce_margin)
        total = total + loss.bce_weight * bce.mean()
        figures["loss_bce"] = bce.detach().mean()
    return total, figures
