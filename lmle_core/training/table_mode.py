"""The 'table' mode, the paper's: quintuplets mined over a random subset, all five images forwarded."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lmle_core.config import Config
from lmle_core.distributed.ranks import from_first
from lmle_core.losses import QuintupletDistances, cross_entropy, euclidean, triple_header_hinge
from lmle_core.network import Network
from lmle_core.prior import forwarded
from lmle_core.quintuplets import Quintuplets, mine
from lmle_core.training.context import Round, embedded, figures_of


@dataclass
class TableObjective:
    """'table' mode: class-equal batches of mined quintuplets, all five images forwarded.

    The quintuplets are mined anew every `quintuplets.redraw` iterations from the network as it is then, for the anchors
    that are drawn until the next time; except for the exact, literal recipe (`positives` and `impostors` null), which
    mines once a round.
    """

    round: Round
    quintuplets: Quintuplets
    subset: np.ndarray
    _groups: list[list[np.ndarray]] = field(init=False, repr=False)
    _held: np.ndarray | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Group the anchors by attribute and class."""
        self._attribute, self._anchor = self.quintuplets.attribute, self.quintuplets.anchor
        classes = self.round.labels.cpu().numpy()[self._anchor, self._attribute]
        self._groups = []
        for attribute in np.unique(self._attribute):
            rows = np.flatnonzero(self._attribute == attribute)
            self._groups.append([rows[classes[rows] == c] for c in np.unique(classes[rows])])

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted mean hinge of the batch's quintuplets, plus the weighted BCE of their images."""
        config = self.round.config
        if iteration and self.redraws and iteration % config.quintuplets.redraw == 0:
            self._mine(network, iteration)
        picks = self._draw(iteration)
        if self._held is not None:  # the table holds these anchors alone
            picks = np.searchsorted(self._held, picks)
        members, attribute = self.quintuplets.members(picks), self.quintuplets.attribute[picks]
        shown = np.where(members < 0, members[:, :1], members)  # in place of a member that is missing, the anchor
        unique, inverse = np.unique(shown, return_inverse=True)
        output = forwarded(network, self.round.images, unique, config, (*self.round.seed, iteration))
        places = self.round.on_device(inverse.reshape(members.shape))
        attributes = self.round.on_device(attribute.astype(np.int64))
        vectors = _picked(output.embeddings, places, attributes)
        distance = euclidean((vectors[:, :1] * vectors[:, 1:]).sum(-1), squared=config.loss.squared)
        present = self.round.on_device(members[:, 1:] >= 0)
        anchor_class = self.round.labels[self.round.on_device(members[:, 0]), attributes]
        headers = triple_header_hinge(
            QuintupletDistances(distance[:, 0], distance[:, 1], distance[:, 2], distance[:, 3], present),
            self.round.margins[:, attributes, anchor_class],
        )
        loss = config.loss.embedding_weight * headers.total.mean()
        figures = figures_of(headers, "hinge")
        if config.loss.bce_weight:
            labels = self.round.labels[self.round.on_device(unique)]
            bce = cross_entropy(output.logits, labels, config.loss.bce_margin)
            loss = loss + config.loss.bce_weight * bce.mean()
            figures["loss_bce"] = bce.detach().mean()
        return loss, figures

    @property
    def redraws(self) -> bool:
        """Whether quintuplets are mined anew within the round."""
        pools = self.round.config.quintuplets
        return pools.positives is not None or pools.impostors is not None

    def _draw(self, iteration: int) -> np.ndarray:
        """Anchors of one batch, as rows of the first table: attribute, then class, then anchor, each uniformly."""
        generator = np.random.default_rng((*self.round.seed, iteration))
        number = self.round.config.training.batch
        drawn = np.empty(number, np.int64)
        for slot, attribute in enumerate(generator.integers(len(self._groups), size=number)):
            classes = self._groups[attribute]
            anchors = classes[generator.integers(len(classes))]
            drawn[slot] = anchors[generator.integers(len(anchors))]
        return drawn

    def _mine(self, network: Network, iteration: int) -> None:
        ahead = range(iteration, iteration + self.round.config.quintuplets.redraw)
        self._held = np.unique(np.concatenate([self._draw(each) for each in ahead]))
        embeddings = embedded(network, self.round.images, self.subset).cpu().numpy()
        anchors = self._attribute[self._held], np.searchsorted(self.subset, self._anchor[self._held])
        self.quintuplets = from_first(
            lambda: mine_quintuplets(
                embeddings,
                self.round.labels.cpu().numpy()[self.subset],
                self.round.assignment.cpu().numpy()[self.subset],
                self.subset,
                self.round.config,
                (*self.round.seed, iteration, 1),
                self.round.labels.device,
                anchors=anchors,
            )
        )


def _picked(embeddings: Tensor, places: Tensor, attributes: Tensor) -> Tensor:
    """Embeddings (U, A, d) at places (Q, 5), each row's of its own attribute (Q,): (Q, 5, d).

    One index in place of two: the gradient of two is summed in an order that depends on the threads.
    """
    _, a, d = embeddings.shape
    rows = (places * a + attributes[:, None]).flatten()
    return embeddings.flatten(0, 1).index_select(0, rows).view(*places.shape, d)


def mining_subset(images: int, config: Config, number: int) -> np.ndarray:
    """Positions of the random subset that a round's table is mined over, ascending."""
    generator = np.random.default_rng((config.seed, 4, number))
    size = max(2, round(config.quintuplets.subset * images))
    return np.sort(generator.choice(images, min(size, images), replace=False))


def mine_quintuplets(
    features: np.ndarray,
    labels: np.ndarray,
    assignment: np.ndarray,
    subset: np.ndarray,
    config: Config,
    seed: tuple[int, ...],
    device: torch.device,
    anchors: tuple[np.ndarray, np.ndarray] | None = None,
) -> Quintuplets:
    """Mine the subset's quintuplets as configured; features (S, G, D), labels and assignment (S, A).

    `anchors` are attributes and positions in the subset, to mine these alone.
    """
    return mine(
        features,
        labels,
        assignment,
        subset,
        positives=config.quintuplets.positives,
        impostors=config.quintuplets.impostors,
        generator=np.random.default_rng(seed),
        device=device,
        anchors=anchors,
    )
