"""A round of training: the network is trained on the round's clusters, among batch members or on mined quintuplets."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmle_core.clusters import Clusters
from lmle_core.config import Config
from lmle_core.device import DeviceImages, seeded_generator
from lmle_core.features import BATCH
from lmle_core.losses import (
    Headers,
    QuintupletDistances,
    batch_quintuplet_distances,
    class_costs,
    cross_entropy,
    euclidean,
    softmax_ratio,
    triple_header_hinge,
)
from lmle_core.margins import margins_of
from lmle_core.network import Network, Output, load_network, save_network
from lmle_core.optimise import CHECKPOINT, Objective, Schedule, Trained, optimise
from lmle_core.prior import Progress, augmented, class_count, network_spec, starting_network
from lmle_core.quintuplets import Quintuplets, mine
from lmle_core.sampling import Sampler, make_sampler
from lmle_core.store import TRAIN, ImageStore

OPTIMISER = "optimiser.pt"
IMAGES_OF_A_QUINTUPLET = 5


@dataclass(frozen=True)
class Round:
    """What one round of training sees, on the device.

    Attributes:
        images: the training images.
        labels: shape (M, A), int64.
        assignment: the round's cluster of each image, shape (M, A), int64, numbered over all classes.
        cluster_class: class of each cluster, shape (A, K), int64, −1 for none.
        costs: of each class, shape (A, C); ones where the batches themselves balance the classes.
        margins: g1, g2, g3 for the anchors of each class, shape (3, A, C).
        config: the run's configuration.
        seed: what batches, augmentation and pools are drawn from, besides the iteration.
    """

    images: DeviceImages
    labels: Tensor
    assignment: Tensor
    cluster_class: Tensor
    costs: Tensor
    margins: Tensor
    config: Config
    seed: tuple[int, ...]

    def on_device(self, positions: np.ndarray) -> Tensor:
        """Positions as an index tensor on the device."""
        return torch.from_numpy(positions).to(self.labels.device)

    def generator(self, iteration: int) -> torch.Generator:
        """Draws the pools of an iteration."""
        return seeded_generator((*self.seed, iteration, 1), self.labels.device)


@dataclass(frozen=True)
class BatchObjective:
    """'batch' mode: every image is forwarded once and is an anchor of every attribute."""

    round: Round
    sampler: Sampler

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The class-cost weighted mean over anchors and attributes, plus the weighted BCE."""
        config = self.round.config
        positions = self.sampler(iteration)
        output = network(augmented(self.round.images, positions, config, (*self.round.seed, iteration)))
        picks = self.round.on_device(positions)
        labels = self.round.labels[picks]
        costs = torch.gather(self.round.costs, 1, labels.T).flatten()  # (A · B,), ordered by attribute
        headers = self._headers(output, picks, iteration)
        loss = (costs * headers.total).mean()
        figures = _figures(headers, config.loss.kind)
        if config.loss.bce_weight:
            bce = cross_entropy(output.logits, labels)
            loss = loss + config.loss.bce_weight * (bce * costs.view(bce.shape[1], bce.shape[0]).T).mean()
            figures["loss_bce"] = bce.detach().mean()
        return loss, figures

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


@dataclass
class TableObjective:
    """'table' mode: class-equal batches of mined quintuplets, all five images forwarded.

    The quintuplets are mined anew every `quintuplets.redraw` iterations from the network as it is then, except for
    the exact, literal recipe (`positives` and `impostors` null), which mines once a round.
    """

    round: Round
    quintuplets: Quintuplets
    subset: np.ndarray
    _groups: list[list[np.ndarray]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Group the anchors by attribute and class."""
        self._group()

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean triple-header hinge of the batch's quintuplets, plus the weighted BCE of their anchors."""
        config = self.round.config
        if iteration and self.redraws and iteration % config.quintuplets.redraw == 0:
            self._mine(network, iteration)
        picks = self._draw(iteration)
        members, attribute = self.quintuplets.members(picks), self.quintuplets.attribute[picks]
        unique, inverse = np.unique(members.clip(min=0), return_inverse=True)
        output = network(augmented(self.round.images, unique, config, (*self.round.seed, iteration)))
        places = self.round.on_device(inverse.reshape(members.shape))
        attributes = self.round.on_device(attribute.astype(np.int64))
        vectors = output.embeddings[places, attributes[:, None]]  # (Q, 5, d)
        distance = euclidean((vectors[:, :1] * vectors[:, 1:]).sum(-1), squared=config.loss.squared)
        present = torch.from_numpy(members[:, 1:] >= 0).to(distance.device)
        labels = self.round.labels[self.round.on_device(members[:, 0])]
        anchor_class = labels.gather(1, attributes[:, None])[:, 0]
        headers = triple_header_hinge(
            QuintupletDistances(distance[:, 0], distance[:, 1], distance[:, 2], distance[:, 3], present),
            self.round.margins[:, attributes, anchor_class],
        )
        loss = headers.total.mean()
        figures = _figures(headers, "hinge")
        if config.loss.bce_weight:
            bce = cross_entropy(output.logits[places[:, 0]], labels)
            loss = loss + config.loss.bce_weight * bce.mean()
            figures["loss_bce"] = bce.detach().mean()
        return loss, figures

    @property
    def redraws(self) -> bool:
        """Whether quintuplets are mined anew within the round."""
        pools = self.round.config.quintuplets
        return pools.positives is not None or pools.impostors is not None

    def _group(self) -> None:
        table = self.quintuplets
        classes = self.round.labels.cpu().numpy()[table.anchor, table.attribute]
        self._groups = []
        for attribute in np.unique(table.attribute):
            rows = np.flatnonzero(table.attribute == attribute)
            self._groups.append([rows[classes[rows] == c] for c in np.unique(classes[rows])])

    def _draw(self, iteration: int) -> np.ndarray:
        """Quintuplets of one batch: attribute, then class, then anchor, each uniformly."""
        generator = np.random.default_rng((*self.round.seed, iteration))
        number = self.round.config.training.batch
        drawn = np.empty(number, np.int64)
        for slot, attribute in enumerate(generator.integers(len(self._groups), size=number)):
            classes = self._groups[attribute]
            anchors = classes[generator.integers(len(classes))]
            drawn[slot] = anchors[generator.integers(len(anchors))]
        return drawn

    def _mine(self, network: Network, iteration: int) -> None:
        network.eval()
        with torch.inference_mode():
            parts = [
                network(self.round.images(self.subset[low : low + BATCH])).embeddings.cpu().numpy()
                for low in range(0, len(self.subset), BATCH)
            ]
        network.train()
        self.quintuplets = mine_quintuplets(
            np.concatenate(parts),
            self.round.labels.cpu().numpy()[self.subset],
            self.round.assignment.cpu().numpy()[self.subset],
            self.subset,
            self.round.config,
            (*self.round.seed, iteration),
            self.round.labels.device,
        )
        self._group()


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
) -> Quintuplets:
    """Mine the subset's quintuplets as configured; features (S, G, D), labels and assignment (S, A)."""
    return mine(
        features,
        labels,
        assignment,
        subset,
        positives=config.quintuplets.positives,
        impostors=config.quintuplets.impostors,
        generator=np.random.default_rng(seed),
        device=device,
    )


def iterations_of_a_round(images: int, config: Config) -> int:
    """Iterations of one round: as configured, or `training.epochs` times as many images seen as there are."""
    training = config.training
    if training.iterations is not None:
        return training.iterations
    return max(1, round(training.epochs * images / images_of_a_batch(config)))


def images_of_a_batch(config: Config) -> int:
    """Images that a batch forwards, coinciding quintuplet members counted apart."""
    return config.training.batch * (IMAGES_OF_A_QUINTUPLET if config.quintuplets.mode == "table" else 1)


def margin_table(labels: np.ndarray, clusters: Clusters, classes: int, config: Config) -> np.ndarray:
    """Margins g1, g2, g3 of the anchors of each class of each attribute, float32 (3, A, C), in the distance's units."""
    sizes = np.stack([(labels == c).sum(0) for c in range(classes)], axis=1)
    numbers = np.stack([(clusters.centroid_class == c).sum(1) for c in range(classes)], axis=1)
    margins = margins_of(config.loss, sizes, sizes / np.maximum(numbers, 1))
    return np.stack(
        [np.broadcast_to(np.float32(margin), sizes.shape) for margin in (margins.g1, margins.g2, margins.g3)]
    )


def train_round(
    number: int,
    store: ImageStore,
    clusters: Clusters,
    previous: Path,
    config: Config,
    device: torch.device,
    directory: Path,
    quintuplets: Quintuplets | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train one round and write the network.

    Args:
        number: the round, from 1.
        store: the images.
        clusters: of the training images, this round's.
        previous: directory of the last round's network, or for round 1 of the prior.
        config: the run's configuration.
        device: where to train.
        directory: gets `model.safetensors`, `model.json`, `optimiser.pt`, `curves.json`, `speed.json`; checkpoints
            meanwhile.
        quintuplets: 'table' mode: those of this round.
        progress: called with (iterations done, iterations).
    """
    rows = store.rows(TRAIN)
    labels = store.labels[rows].astype(np.int64)
    state: dict[str, Any] | None = None
    if number == 1:
        network = starting_network(previous, network_spec(store, config), config.seed)
    else:
        network = load_network(previous)
        state = torch.load(previous / OPTIMISER, map_location=device, weights_only=True)
    network.to(device)
    iterations = iterations_of_a_round(len(rows), config)
    training = config.training
    every = config.engines.checkpoint
    seed = (config.seed, 5, number)
    classes = class_count(store.labels)
    sampler = make_sampler(training.sampler, labels, training.batch, training.minority, seed)
    costly = training.costs == "inverse" or (training.costs == "auto" and not _balanced(config, len(store.attributes)))
    costs = class_costs(torch.from_numpy(labels), classes) if costly else torch.ones(labels.shape[1], classes)
    round_ = Round(
        images=DeviceImages(store, rows, device),
        labels=torch.from_numpy(labels).to(device),
        assignment=torch.from_numpy(clusters.assignment.astype(np.int64)).to(device),
        cluster_class=torch.from_numpy(clusters.centroid_class.astype(np.int64)).to(device),
        costs=costs.to(device),
        margins=torch.from_numpy(margin_table(labels, clusters, classes, config)).to(device),
        config=config,
        seed=seed,
    )
    objective: Objective = BatchObjective(round_, sampler)
    if quintuplets is not None:
        objective = TableObjective(round_, quintuplets, mining_subset(len(rows), config, number))
        if objective.redraws:  # a continued training mines at its first iteration
            every = -(-every // config.quintuplets.redraw) * config.quintuplets.redraw
    trained = optimise(
        network,
        objective,
        iterations=iterations,
        schedule=Schedule(training.learning_rate, iterations * training.rounds, iterations * (number - 1)),
        weight_decay=training.weight_decay,
        directory=directory,
        checkpoint_every=every,
        optimiser_state=state,
        progress=progress,
    )
    save_network(network, directory)
    torch.save(trained.optimiser, directory / OPTIMISER)
    (directory / "curves.json").write_text(json.dumps(trained.curves))
    images = trained.iterations * images_of_a_batch(config)  # of this process: a continued training counts its part
    speed = {"images": images, "seconds": round(trained.seconds, 3)}
    (directory / "speed.json").write_text(json.dumps(speed))
    (directory / CHECKPOINT).unlink(missing_ok=True)
    return trained


def _balanced(config: Config, attributes: int) -> bool:
    """Whether batches or loss balance the classes already, so that class costs would do it twice."""
    loss, sampler = config.loss, config.training.sampler
    class_equal = config.quintuplets.mode == "table" or (attributes == 1 and sampler in {"auto", "class-equal"})
    return class_equal or (loss.kind == "softmax-ratio" and loss.adjusted)


def _figures(headers: Headers, kind: str) -> dict[str, Tensor]:
    names = (
        ("loss_class", "loss_cluster")
        if kind == "softmax-ratio"
        else ("loss_header_1", "loss_header_2", "loss_header_3")
    )
    return {**dict(zip(names, headers.means(), strict=True)), "active_share": headers.active_share()}
