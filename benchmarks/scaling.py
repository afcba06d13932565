"""What scaling rests on, measured into records: `python -m benchmarks.scaling kernels workers processes`.

Seconds are processor seconds where a stage computes in one process: they mean the same on a machine that others use
too. Those of training are elapsed.
"""

import argparse
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import torch
from distributed import Client
from numpy.typing import NDArray

from benchmarks.environment import environment
from benchmarks.record import RECORDS, Json, today, write_record
from benchmarks.sample import Sample
from benchmarks.scale import Scale
from lmle_core.clusters import cluster
from lmle_core.config import Config, parse_config
from lmle_core.distributed.job import Job
from lmle_core.distributed.launch import carry_out
from lmle_core.features import extract, load_encoder
from lmle_core.kmeans import ArrayRows, StoredRows, lloyd
from lmle_core.kmeans.coarse import coarse_start
from lmle_core.kmeans.seeding import class_counts
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.network import build_network, save_network
from lmle_core.prior import network_spec
from lmle_core.quintuplets.mining import mine_attribute
from lmle_core.quintuplets.ordered import Ordered
from lmle_core.quintuplets.pools import Pools
from lmle_core.store import TRAIN, ImageStore
from tasks.features import extract_over
from tasks.kmeans_blocks import DaskBlocks

CPU = torch.device("cpu")
ATTRIBUTES, DIMENSIONS, SLOTS, SHARE = 40, 64, 8, 0.23
"""Of the embeddings; clusters of a class, and the share of the second class."""
SIZES = (4000, 16_000)
PASSES = 3
"""Of Lloyd's loop over all rows."""
MINED = 2
"""Attributes that are mined."""
POOLS = Pools(Config().quintuplets.positives, Config().quintuplets.impostors)
STORED, DRAWN, SHARD = 2048, 256, 128
"""Images of the store, faces that are drawn for it, images in a shard."""
TASKS = 1000
PRODUCTS = 20
BYTES = 1 << 28
ITERATIONS = 40
"""Of the round that is trained in one process and in two."""
PROCESSES = {"one process of one thread": (1, 1), "one process of two threads": (1, 2), "two processes of one": (2, 1)}
"""By name: processes, and threads of each."""


def kernels(folder: Path, repetitions: int) -> Json:
    """K-means and mining at two sizes, in one thread; operations and bytes that this machine does in a second."""
    taken: dict[str, dict[str, list[float]]] = {}
    for images in SIZES:
        for name, found in _kernels(folder, images, repetitions).items():
            taken.setdefault(name, {})[str(images)] = found
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    products = _times(repetitions, lambda: [left @ right for _ in range(PRODUCTS)])
    content, path = os.urandom(BYTES), folder / "bytes"

    def write() -> None:
        with path.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())

    writing = _times(repetitions, write, time.perf_counter)
    path.unlink()
    return {
        "sizes": list(SIZES),
        "passes": PASSES,
        "mined": MINED,
        "draws": POOLS.draws,
        "seconds": taken,
        "core_operations": [PRODUCTS * 2 * 1024**3 / second for second in products],
        "written_bytes": [BYTES / second for second in writing],
    }


def _kernels(folder: Path, images: int, repetitions: int) -> dict[str, list[float]]:
    rows = _rows(folder, images)
    clusters = _clusters(rows)
    start = coarse_start(rows, clusters, 0, 1, CPU)
    fit = lloyd(TorchBlocks(rows, threads=1), start, 1, 0)
    ordered = [
        Ordered.of(rows.features(0, images)[:, attribute], rows.labels[:, attribute], fit.slots[:, attribute], CPU)
        for attribute in range(MINED)
    ]

    def mine(pools: Pools) -> None:
        for each in ordered:
            mine_attribute(each, pools, np.random.default_rng(0))

    return {
        "k-means start": _times(repetitions, lambda: coarse_start(rows, clusters, 0, 1, CPU)),
        "k-means passes": _times(repetitions, lambda: lloyd(TorchBlocks(rows, threads=1), start, PASSES, -1.0)),
        "exact mining": _times(repetitions, lambda: mine(Pools(None, None))),
        "pooled mining": _times(repetitions, lambda: mine(POOLS)),
    }


def workers(folder: Path, repetitions: int) -> Json:
    """Stages over one worker process and over two: processor seconds of the workers and the scheduler; elapsed ones."""
    opened, network = _store(folder), folder / "network"
    store = opened.path
    if not network.exists():
        network.mkdir()
        save_network(build_network(network_spec(opened, Config()), seed=0), network)
    rows = _rows(folder, min(SIZES))
    start = coarse_start(rows, _clusters(rows), 0, 1, CPU)
    found: Json = {"images": STORED, "rows": min(SIZES), "tasks": TASKS}
    for number in (1, 2):
        with _cluster(folder, number) as (client, scheduler, processes):

            def taken(call: Callable[[], object]) -> Json:
                seconds: Json = {"workers": [], "scheduler": [], "elapsed": []}
                call()  # loads libraries, network and caches
                for _ in range(repetitions):
                    before, begun = (_processor(processes), _processor([scheduler])), time.perf_counter()
                    call()
                    seconds["elapsed"].append(time.perf_counter() - begun)
                    seconds["workers"].append(_processor(processes) - before[0])
                    seconds["scheduler"].append(_processor([scheduler]) - before[1])
                return seconds

            def features() -> None:
                extract_over(client, "cpu", str(store), str(network), "embeddings", _fresh(folder / "spread"))

            found[str(number)] = {
                "features": taken(features),
                "k-means passes": taken(lambda: lloyd(DaskBlocks(rows, client, block=512), start, PASSES, -1.0)),
                "empty tasks": taken(lambda: client.gather(client.map(_nothing, range(TASKS), pure=False))),
            }
    return found


def processes(folder: Path, repetitions: int) -> Json:
    """Images a second of a round at the default settings, in one process and in two that exchange outputs, by gloo.

    Each training is in fresh processes, so that what a first iteration costs is in all of them.
    """
    prior, clusters = folder / "prior", folder / "clusters"
    config = parse_config(
        {"prior": {"epochs": 1}, "training": {"iterations": ITERATIONS}, "engines": {"device": "cpu"}}
    )
    if not clusters.exists():
        _fresh(folder)
    opened = _store(folder)
    store = opened.path
    if not clusters.exists():
        prior.mkdir()
        carry_out(Job(kind="prior", store=store, directory=prior, config=config))
        rows, features = opened.rows(TRAIN), _fresh(folder / "features")
        source = ArrayRows(extract(load_encoder(prior, "trunk"), opened, features).rows(rows), opened.labels[rows])
        cluster(
            TorchBlocks(source), config.cluster, attributes=opened.attributes, n_classes=2, seed=0, round=1
        ).save(clusters)  # fmt: skip
    rates: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for _ in range(repetitions):
        for name, (number, threads) in PROCESSES.items():
            engines = config.engines.model_copy(update={"processes": number, "threads": threads})
            job = Job(
                kind="round", store=store, directory=_fresh(folder / "round"), number=1, clusters=clusters,
                previous=prior, config=config.model_copy(update={"engines": engines}),
            )  # fmt: skip
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                fresh.submit(carry_out, job).result()
            speed = json.loads((job.directory / "speed.json").read_text())
            rates[name].append(speed["images"] / speed["seconds"])
    return {"batch": config.training.batch, "iterations": ITERATIONS, "images_per_second": rates}


@contextmanager
def _cluster(folder: Path, number: int) -> Iterator[tuple[Client, psutil.Process, list[psutil.Process]]]:
    """A scheduler and workers, each a process of one thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_LOGGING__DISTRIBUTED": "error"}
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0")
    worker = (
        "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny", "--no-dashboard",
        "--memory-limit", "4GiB", "--local-directory", str(folder),
    )  # fmt: skip
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *words], env=quiet, stderr=subprocess.DEVNULL)
        for words in (scheduler, *[worker] * number)
    ]
    try:
        with Client(f"tcp://127.0.0.1:{port}", timeout=300) as client:
            client.wait_for_workers(number, timeout=300)
            yield client, psutil.Process(processes[0].pid), [psutil.Process(each.pid) for each in processes[1:]]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def _times(repetitions: int, call: Callable[[], object], clock: Callable[[], float] = time.process_time) -> list[float]:
    seconds = []
    for _ in range(repetitions):
        begun = clock()
        call()
        seconds.append(clock() - begun)
    return seconds


def _processor(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _nothing(number: int) -> int:
    return number


def _rows(folder: Path, images: int) -> StoredRows:
    """Unit embeddings of random directions, three of each class of each attribute."""
    path = folder / f"embeddings-{images}.npy"
    generator = np.random.default_rng(0)
    labels = (generator.random((images, ATTRIBUTES)) < SHARE).astype(np.int8)
    if not path.exists():
        modes = generator.normal(size=(2, 3, ATTRIBUTES, DIMENSIONS)).astype(np.float32)
        array = generator.standard_normal((images, ATTRIBUTES, DIMENSIONS), np.float32)
        array += modes[labels, generator.integers(3, size=labels.shape), np.arange(ATTRIBUTES)]
        array /= np.linalg.norm(array, axis=-1, keepdims=True)
        np.save(path, array)
    return StoredRows(str(path), labels)


def _clusters(rows: StoredRows) -> NDArray[np.int64]:
    return np.minimum(class_counts(rows.labels, 2), SLOTS)


def _store(folder: Path) -> ImageStore:
    """A store of links to a few drawn faces."""
    return Sample(Scale("scaling", DRAWN, {}, 0, (), None, (f"data.shard={SHARD}",)), folder).store(STORED)


def _fresh(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


PARTS = {"kernels": kernels, "workers": workers, "processes": processes}


def main() -> None:
    """Measure what is named, and write a record of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("parts", nargs="+", choices=tuple(PARTS))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("workspace/scaling"), help="for what is measured on")
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for part in given.parts:
        folder = given.folder.absolute() / part
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "command": shlex.join(["python", "-m", "benchmarks.scaling", part]),
            "date": today(),
            "environment": {**environment(), "device": "cpu"},
            part: PARTS[part](folder, given.repetitions),
        }
        write_record(record, f"scaling-{part}", given.records)


if __name__ == "__main__":
    main()
