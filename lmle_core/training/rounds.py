"""All rounds in one process, in memory: the prior, then cluster, mine and train in turn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lmle_core.artefact import Reference, make_once
from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config
from lmle_core.features import NetworkEncoder, Output
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.network import load_network
from lmle_core.prior import Progress, class_count, make_prior
from lmle_core.quintuplets import Quintuplets
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training.round import train_round
from lmle_core.training.table_mode import mine_quintuplets, mining_subset


def train_rounds(
    store: ImageStore, config: Config, device: torch.device, directory: Path, progress: Progress | None = None
) -> Path:
    """Train a prior and every round after it; what an interrupted attempt left is continued.

    Args:
        store: the images.
        config: the run's configuration; its prior is a network.
        device: where to train.
        directory: gets `prior/` and `round-1/`, `round-2/`, …
        progress: called with (iterations done, iterations) of each training.

    Returns:
        The last round's directory, with the network.
    """
    rows = store.rows(TRAIN)
    labels = store.labels[rows]
    network = _once(directory / "prior", lambda partial: make_prior(store, config, device, partial, progress))
    features = encoded(store, rows, network, "trunk", device)
    found: Clusters | None = None
    for number in range(1, config.training.rounds + 1):
        found = cluster(
            TorchBlocks(ArrayRows(features, labels), device), config.cluster, attributes=store.attributes,
            n_classes=class_count(store.labels), seed=config.seed, round=number, warm=found,
        )  # fmt: skip
        table = _table(features, labels, found, number, config, device)
        before, clusters = network, found

        def train(partial: Path) -> None:
            train_round(number, store, clusters, before, config, device, partial, table, progress)  # noqa: B023

        network = _once(directory / f"round-{number}", train)
        if number < config.training.rounds:
            features = encoded(store, rows, network, "embeddings", device)
    return network


def encoded(store: ImageStore, rows: np.ndarray, network: Path, output: Output, device: torch.device) -> np.ndarray:
    """One of a network's outputs, float32 (len(rows), G, D), of rows of a store, held in memory."""
    encoder = NetworkEncoder(load_network(network, device), output)
    return np.concatenate(
        [encoder(store.gather(rows[low : low + store.shard])) for low in range(0, len(rows), store.shard)]
    )


def _table(
    features: np.ndarray, labels: np.ndarray, found: Clusters, number: int, config: Config, device: torch.device
) -> Quintuplets | None:
    """The quintuplets of a round in 'table' mode; in 'batch' mode there are none to mine."""
    if config.quintuplets.mode == "batch":
        return None
    subset = mining_subset(len(labels), config, number)
    seed = (config.seed, 6, number)
    return mine_quintuplets(features[subset], labels[subset], found.assignment[subset], subset, config, seed, device)


def _once(directory: Path, make: Callable[[Path], None]) -> Path:
    reference: Reference
    reference, _ = make_once(directory, directory.name, {}, lambda partial, _: make(partial), resume=True)
    return Path(reference.path)
