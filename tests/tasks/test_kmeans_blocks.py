"""The Dask engine gives the torch engine's bits, for any number of workers, also when one of them is lost."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from lmle_core.kmeans import ArrayRows, Centroids, Fit, Partial, StoredRows, lloyd
from lmle_core.kmeans.ordered import Slots
from lmle_core.kmeans.torch_blocks import TorchBlocks
from tasks.kmeans_blocks import DaskBlocks
from tests.lmle_core.kmeans.random_rows import first_centroids, random_rows

pytestmark = [pytest.mark.slow, pytest.mark.services]
ROWS = np.arange(3, 2503)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> StoredRows:
    everything = random_rows(2600, 3, 16, classes=3)
    path = tmp_path_factory.mktemp("features") / "features.npy"
    np.save(path, everything.array)
    return StoredRows(str(path), everything.labels[ROWS], ROWS)


@pytest.fixture(scope="module")
def start(source: StoredRows) -> Centroids:
    return first_centroids(source, 5, 3)


@pytest.fixture(scope="module")
def expected(source: StoredRows, start: Centroids) -> Fit:
    return lloyd(TorchBlocks(source, block=256), start, iterations=6, tolerance=0)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit="4GiB"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _check_same_bits(one: Fit, other: Fit) -> None:
    assert one.history == other.history
    assert one.centroids.values.tobytes() == other.centroids.values.tobytes()
    assert one.centroids.classes.tobytes() == other.centroids.classes.tobytes()
    assert one.slots.tobytes() == other.slots.tobytes()
    assert one.inertia.tobytes() == other.inertia.tobytes()


@dataclass
class LosesAWorker:
    """An engine whose cluster loses one worker, for good or for a moment, before its third pass."""

    blocks: DaskBlocks
    client: Client
    passes: int = 0

    @property
    def source(self) -> StoredRows | ArrayRows:
        return self.blocks.source  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        return self.blocks.device

    def assign(self, centroids: Centroids) -> tuple[Partial, Slots]:
        self.passes += 1
        if self.passes == 3:
            victim = next(iter(self.client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)
        return self.blocks.assign(centroids)


def test_two_workers_give_the_bits_of_torch(
    client: Client, source: StoredRows, start: Centroids, expected: Fit
) -> None:
    _check_same_bits(expected, lloyd(DaskBlocks(source, client, block=256), start, iterations=6, tolerance=0))


def test_rows_in_memory_work_too(client: Client, source: StoredRows, start: Centroids, expected: Fit) -> None:
    rows = ArrayRows(source.features(0, len(source.labels)), source.labels)
    _check_same_bits(expected, lloyd(DaskBlocks(rows, client, block=256), start, iterations=6, tolerance=0))


def test_a_lost_worker_changes_nothing(client: Client, source: StoredRows, start: Centroids, expected: Fit) -> None:
    blocks = LosesAWorker(DaskBlocks(source, client, block=256), client)
    _check_same_bits(expected, lloyd(blocks, start, iterations=6, tolerance=0))
    assert blocks.passes == len(expected.history)


def test_one_worker_gives_the_same_bits(client: Client, source: StoredRows, start: Centroids, expected: Fit) -> None:
    client.cluster.scale(1)
    client.sync(client.cluster._correct_state)
    _check_same_bits(expected, lloyd(DaskBlocks(source, client, block=256), start, iterations=6, tolerance=0))
    assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1


def test_an_unreadable_artefact_is_the_readers_error(client: Client, source: StoredRows, start: Centroids) -> None:
    Path(source.path).rename(source.path + ".away")
    try:
        with pytest.raises(FileNotFoundError, match=r"features\.npy"):
            DaskBlocks(source, client, block=256).assign(start)
    finally:
        Path(source.path + ".away").rename(source.path)
