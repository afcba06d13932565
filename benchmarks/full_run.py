"""The core stages at CelebA's full size, timed one by one, as a record: `python -m benchmarks.full_run`.

202,599 procedural faces at 112 pixels and 40 attributes by default, through `lmle_core` alone: no Prefect, MLflow or
Dask is needed, so that it runs where just torch and the array libraries are. Drawing the faces is timed but is no part
of a run; files and decoding are spread over processes.
"""

import argparse
import datetime
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy import RECORDS, environment
from lmle_core.celeba.annotations import read_celeba
from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config, load_config
from lmle_core.device import choose_device, set_threads
from lmle_core.evaluation import Rival, assess, evaluate
from lmle_core.faces import write_annotations, write_images
from lmle_core.features import Features, Output, extract_shard, feature_shape, load_encoder
from lmle_core.index import CentroidIndex, build_index
from lmle_core.ingest import create_store, ingest_shard, publish
from lmle_core.kmeans import StoredRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.prior import class_count, make_prior
from lmle_core.store import TRAIN, VALID, ImageStore
from lmle_core.training import train_round

IMAGES = 202_599
SPAN = 1000


class Stages:
    """Seconds of each stage, as they end."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a stage; the device's work is waited for."""
        begun = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[name] = round(time.perf_counter() - begun, 3)
        print(f"{name:<20} {self.seconds[name]:8.1f} s", flush=True)


def main(arguments: list[str] | None = None) -> Path:
    """Run every stage in a folder and write the record; returns its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--folder", type=Path, default=Path("workspace/full-run"))
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("settings", nargs="*", help="section.key=value over the preset celeba")
    words = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(words)
    config = load_config("celeba", given.settings)
    if config.quintuplets.mode == "table":
        parser.error("quintuplets.mode 'table' is not timed here")
    set_threads(config.engines.threads)
    stages = Stages(choose_device(config.engines.device))
    given.folder.mkdir(parents=True)
    scores = run(given.folder, given.images, config, stages)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    directory = given.records / f"{today}-full-run-{given.images}"
    directory.mkdir(parents=True, exist_ok=True)
    device = torch.cuda.get_device_name(stages.device) if stages.device.type == "cuda" else "cpu"
    record = {
        "command": shlex.join(
            ["python", "-m", "benchmarks.full_run", *(sys.argv[1:] if arguments is None else arguments)]
        ),
        "images": given.images,
        "config": config.model_dump(mode="json", exclude={"engines"}),
        "environment": {**environment(), "device": device},
        "seconds": stages.seconds,
        "run_seconds": round(sum(value for name, value in stages.seconds.items() if name != "faces"), 3),
        "mean_balanced_accuracy": scores["test"]["mean_balanced_accuracy"],
        "baselines": {name: values["mean_balanced_accuracy"] for name, values in scores["baselines"].items()},
    }
    (directory / "record.json").write_text(json.dumps(record, indent=1) + "\n")
    print(directory / "record.json")
    return directory / "record.json"


def run(folder: Path, images: int, config: Config, stages: Stages) -> dict[str, Any]:
    """The stages, as the flow chains them; returns the scores."""
    source = folder / "celeba"
    with stages.timed("faces"):
        source.mkdir()
        spans = [range(low, min(low + SPAN, images)) for low in range(0, images, SPAN)]
        _spread(write_images, [source] * len(spans), spans, [config.seed] * len(spans))
        write_annotations(source, images, config.seed, config.data.label_noise)
    with stages.timed("ingest"):
        partial = folder / "store.zarr"
        partial.mkdir()
        shards = create_store(partial, read_celeba(source), config.data)
        _spread(ingest_shard, [partial] * shards, range(shards))
        publish(partial)
    store = ImageStore.open(partial)

    def encode(network: Path, output: Output, name: str) -> Path:
        with stages.timed(f"features {name}"):
            encoder = load_encoder(network, output, stages.device)
            directory = _folder(folder / f"features-{name}")
            features = Features.create(directory, store.n, feature_shape(encoder, store.shape), store.shard)
            for number in range(-(-store.n // store.shard)):
                extract_shard(encoder, store.block, features, store.shard, number)
            features.check()
        return directory

    train = store.rows(TRAIN)

    def blocks(features: Path) -> TorchBlocks:
        return TorchBlocks(StoredRows(str(features), store.labels[train], train), stages.device)

    network = _folder(folder / "prior")
    with stages.timed("prior"):
        make_prior(store, config, stages.device, network)
    prior = features = encode(network, "trunk", "0")
    found: Clusters | None = None
    for number in range(1, config.training.rounds + 1):
        before = found
        with stages.timed(f"clusters {number}"):
            found = cluster(
                blocks(features), config.cluster, attributes=store.attributes, n_classes=class_count(store.labels),
                seed=config.seed, round=number, warm=before,
            )  # fmt: skip
        after = _folder(folder / f"round-{number}")
        with stages.timed(f"train {number}"):
            trained = train_round(number, store, found, network, config, stages.device, after)
        network = after
        features = encode(network, "embeddings", str(number))
        with stages.timed(f"health {number}"):
            health = assess(store, features, found, before, trained.curves, number, squared=config.loss.squared)
        print(health["spread"], health["validation"]["mean_balanced_accuracy"], flush=True)
    indexes = {}
    for name, values in (("index", features), ("prior index", prior)):
        with stages.timed(name):
            valid = store.rows(VALID)
            index = build_index(
                blocks(values), StoredRows(str(values), store.labels[valid], valid), config.index, config.cluster,
                attributes=store.attributes, n_classes=class_count(store.labels), seed=config.seed,
                squared=config.loss.squared,
            )  # fmt: skip
            index.save(folder / name)
            indexes[name] = folder / name
    with stages.timed("evaluation"):
        rivals = {"prior": Rival(prior, indexes["prior index"])}
        evaluate(store, features, CentroidIndex.load(indexes["index"]), rivals, config, folder)
    return dict(json.loads((folder / "scores.json").read_text()))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _spread(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function over processes, one for each core."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for _ in pool.map(_call, repeat(function), *arguments):
            pass


def _call(function: Callable[..., Any], *arguments: Any) -> None:
    import cv2

    cv2.setNumThreads(1)
    function(*arguments)


if __name__ == "__main__":
    main()
