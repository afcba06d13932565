"""A whole run through `lmle_core` alone, from image files to scores: seconds and peak memory of each stage."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.measure import stopwatch
from benchmarks.memory import watched
from benchmarks.record import Json
from lmle_core.celeba.annotations import read_celeba
from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config
from lmle_core.cores import cores
from lmle_core.evaluation import Rival, assess, evaluate
from lmle_core.features import Features, Output, extract, load_encoder
from lmle_core.index import CentroidIndex
from lmle_core.index_choice import build_index
from lmle_core.ingest import ingest_over
from lmle_core.kmeans import StoredRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.prior import class_count, make_prior
from lmle_core.store import TRAIN, VALID, ImageStore
from lmle_core.training import train_round


class Stages:
    """What each stage took, as they end: `seconds`, peak `host` and `device` memory in bytes, by the stage's name.

    Args:
        device: is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.taken: dict[str, Json] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a stage and watch its memory."""
        seconds: list[float] = []
        with watched(self.device) as peak, stopwatch(seconds, self.device):
            yield
        self.taken[name] = {"seconds": round(seconds[0], 3), "host": peak.host, "device": peak.device}
        print(f"  {name:<20} {seconds[0]:8.1f} s  {peak.host / 1e9:5.2f} GB  {peak.device / 1e9:6.2f} GB", flush=True)


def whole_run(source: Path, folder: Path, config: Config, stages: Stages) -> dict[str, Any]:
    """Every stage, as the flow chains them, but for the networks that a run trains to be compared with.

    Args:
        source: a data set in CelebA's layout.
        folder: a new one; gets the store and all artefacts.
        config: the run's configuration, in 'batch' mode.
        stages: is told of each stage.

    Returns:
        The scores, as `evaluate` writes them.
    """
    folder.mkdir(parents=True)
    with stages.timed("ingestion"):
        partial = _folder(folder / "store.zarr")
        with ProcessPoolExecutor(cores(), get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            ingest_over(pool, partial, read_celeba(source), config.data)
    store = ImageStore.open(partial)

    def encode(network: Path, output: Output, name: str) -> Path:
        with stages.timed(f"features {name}"):
            directory = _folder(folder / f"features-{name}")
            extract(load_encoder(network, output, stages.device), store, directory)
        return directory

    train, valid = store.rows(TRAIN), store.rows(VALID)
    classes = class_count(store.labels)

    def blocks(features: Path) -> TorchBlocks:
        return TorchBlocks(StoredRows(str(features), store.labels[train], train), stages.device)

    network = _folder(folder / "prior")
    with stages.timed("prior"):
        make_prior(store, config, stages.device, network)
    prior = features = encode(network, "trunk", "0")
    found: Clusters | None = None
    for number in range(1, config.training.rounds + 1):
        before = found
        with stages.timed(f"k-means {number}"):
            found = cluster(
                blocks(features), config.cluster, attributes=store.attributes, n_classes=classes, seed=config.seed,
                round=number, warm=before,
            )  # fmt: skip
        if before is None:
            with stages.timed("health 0"):
                assess(store, features, found, None, None, 0, config)
        after = _folder(folder / f"round-{number}")
        with stages.timed(f"training {number}"):
            trained = train_round(number, store, found, network, config, stages.device, after)
        network = after
        features = encode(network, "embeddings", str(number))
        with stages.timed(f"health {number}"):
            assess(store, features, found, before, trained.curves, number, config)
    logits = encode(network, "logits", "logits")
    indexes = {}
    for name, values, beside in (("index", features, logits), ("index of the prior", prior, None)):
        with stages.timed(name):
            index = build_index(
                blocks(values), StoredRows(str(values), store.labels[valid], valid), config.index, config.cluster,
                attributes=store.attributes, n_classes=classes, seed=config.seed, squared=config.loss.squared,
                logits=Features.open(beside).rows(valid) if beside else None,
            )  # fmt: skip
            index.save(folder / name)
            indexes[name] = folder / name
    with stages.timed("evaluation"):
        rivals = {"prior": Rival(prior, indexes["index of the prior"])}
        evaluate(store, features, CentroidIndex.load(indexes["index"]), rivals, config, folder, logits)
    return dict(json.loads((folder / "scores.json").read_text()))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
