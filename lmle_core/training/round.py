"""A round of training: the network is trained on the round's clusters, among batch members or on mined quintuplets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmle_core.balance import has_costs
from lmle_core.clusters import Clusters
from lmle_core.config import Config
from lmle_core.device import DeviceImages
from lmle_core.distributed.ranks import writes
from lmle_core.losses import class_costs
from lmle_core.margins import margin_table
from lmle_core.network import load_network, save_network
from lmle_core.odds import class_shares
from lmle_core.optimise import CHECKPOINT, Objective, Schedule, Trained, optimise
from lmle_core.prior import Progress, class_count, network_spec, starting_network
from lmle_core.quintuplets import Quintuplets
from lmle_core.sampling import Sampler, make_sampler
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training.batch_mode import BatchObjective
from lmle_core.training.centroid_mode import CentroidObjective
from lmle_core.training.context import Round
from lmle_core.training.table_mode import TableObjective, mining_subset

OPTIMISER = "optimiser.pt"
IMAGES_OF_A_QUINTUPLET = 5


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
    attributes = labels.shape[1]
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
    costs = torch.ones(attributes, classes)
    if has_costs(config, attributes):
        costs = class_costs(torch.from_numpy(labels), classes)
    round_ = Round(
        images=DeviceImages(store, rows, device),
        labels=torch.from_numpy(labels).to(device),
        assignment=torch.from_numpy(clusters.assignment.astype(np.int64)).to(device),
        cluster_class=torch.from_numpy(clusters.centroid_class.astype(np.int64)).to(device),
        shares=torch.from_numpy(class_shares(labels, classes)).float().to(device),
        costs=costs.to(device),
        margins=torch.from_numpy(margin_table(labels, clusters, classes, config.loss)).to(device),
        config=config,
        seed=seed,
    )
    objective: Objective = batch_objective(round_, sampler)
    if isinstance(objective, CentroidObjective):
        every = _multiple(every, config)
    if quintuplets is not None:
        objective = TableObjective(round_, quintuplets, mining_subset(len(rows), config, number))
        if objective.redraws:
            every = _multiple(every, config)
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
    if writes():
        save_network(network, directory)
        torch.save(trained.optimiser, directory / OPTIMISER)
        (directory / "curves.json").write_text(json.dumps(trained.curves))
        images = trained.iterations * images_of_a_batch(config)  # of this attempt: a continued training counts its part
        speed = {"images": images, "seconds": round(trained.seconds, 3)}
        (directory / "speed.json").write_text(json.dumps(speed))
        (directory / CHECKPOINT).unlink(missing_ok=True)
    return trained


def batch_objective(round_: Round, sampler: Sampler) -> BatchObjective | CentroidObjective:
    """What 'batch' mode trains on: the configured loss, every image of a batch an anchor of every attribute."""
    centroids = round_.config.loss.kind == "centroid-margin"
    return CentroidObjective(round_, sampler) if centroids else BatchObjective(round_, sampler)


def iterations_of_a_round(images: int, config: Config) -> int:
    """Iterations of one round: as configured, or `training.epochs` times as many images seen as there are."""
    training = config.training
    if training.iterations is not None:
        return training.iterations
    return max(1, round(training.epochs * images / images_of_a_batch(config)))


def images_of_a_batch(config: Config) -> int:
    """Images that a batch forwards, coinciding quintuplet members counted apart."""
    return config.training.batch * (IMAGES_OF_A_QUINTUPLET if config.quintuplets.mode == "table" else 1)


def images_seen(config: Config, images: int, *, rounds: bool = True) -> int:
    """Images that a whole run forwards in training, repeats counted: by the prior's network, and by all rounds.

    Args:
        config: the run's configuration.
        images: of the training split.
        rounds: False: by the prior alone.
    """
    prior = round(config.prior.epochs * images) if config.prior.is_trained else 0
    if not rounds:
        return prior
    return prior + config.training.rounds * iterations_of_a_round(images, config) * images_of_a_batch(config)


def _multiple(every: int, config: Config) -> int:
    """Iterations between checkpoints where what is drawn anew must be drawn first by a continued training."""
    return -(-every // config.quintuplets.redraw) * config.quintuplets.redraw
