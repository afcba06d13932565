"""A cluster of separate processes whose workers come and go: every stage's bits are those of one process alone.

Data are read and written by path: what passes the scheduler is counted, and is small against them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from distributed import Client
from distributed.scheduler import NoWorkerError

from infra.service import NO_WORKERS_TIMEOUT, process
from lmle_core.answers import Answers
from lmle_core.artefact import Reference
from lmle_core.celeba.annotations import read_celeba
from lmle_core.classifier import Classifier
from lmle_core.clusters import cluster as clustered
from lmle_core.config import Cluster, Data, Engines, parse_config
from lmle_core.features import Features, extract, load_encoder
from lmle_core.image_sets import open_image_set
from lmle_core.ingest import ingest_over
from lmle_core.kmeans import Centroids, Partial, StoredRows, lloyd
from lmle_core.kmeans.ordered import Slots
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.network import NetworkSpec, build_network, save_network
from lmle_core.quintuplets import Quintuplets, mine
from lmle_core.quintuplets.pools import Pools
from lmle_core.store import TRAIN, ImageStore
from tasks.features import extract_over
from tasks.ingest import ingest
from tasks.kmeans_blocks import DaskBlocks
from tasks.mining import Mining, mine_over
from tasks.predict import predict_parts
from tasks.train import quintuplets
from tasks.workers import Workers
from tests.lmle_core.celeba.small import write_small
from tests.lmle_core.kmeans.random_rows import first_centroids, random_centroids, random_rows
from tests.tasks.real_cluster import Counted, RealCluster, troubles, wait_until
from tests.tasks.tiny_run import make_run

pytestmark = [pytest.mark.slow, pytest.mark.services]
ATTRIBUTES = 4
DATA = Data(height=64, width=64, shard=128)
IMAGES = 1200


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in a worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    cluster = RealCluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.start()
        cluster.join()
        cluster.join()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def counted(running: RealCluster) -> Iterator[Counted]:
    counted = Counted(running.address)
    yield counted
    counted.close()


@pytest.fixture(scope="module")
def client(counted: Counted) -> Iterator[Client]:
    with Client(counted.address, timeout=120) as client:
        yield client


@pytest.fixture
def two(running: RealCluster, client: Client) -> RealCluster:
    """The cluster with two workers, whatever befell those before."""
    wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2)
    return running


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("images") / "celeba", IMAGES, ATTRIBUTES)


@pytest.fixture(scope="module")
def store(source: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    directory = tmp_path_factory.mktemp("store") / "store.zarr"
    directory.mkdir()
    with ThreadPoolExecutor(1) as pool:
        ingest_over(pool, directory, read_celeba(source), DATA)
    return ImageStore.open(directory)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("network")
    save_network(build_network(NetworkSpec("six-layer", 4, ATTRIBUTES, 2, 16), seed=0), directory)
    return directory


def test_ingestion_survives_workers_that_come_and_go(
    two: RealCluster, client: Client, counted: Counted, source: Path, store: ImageStore, tmp_path: Path
) -> None:
    trouble, before = troubles(two, client), counted.bytes
    found = ingest(source, DATA, tmp_path, lambda: client, lambda *_: next(trouble, None))
    assert next(trouble, "over") == "over"
    assert found.digest == store.digest
    assert counted.bytes - before < 0.05 * store.images.nbytes


def test_features_survive_workers_that_come_and_go(
    two: RealCluster, client: Client, counted: Counted, store: ImageStore, network: Path, tmp_path: Path
) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "spread").mkdir()
    alone = extract(load_encoder(network, "embeddings"), store, tmp_path / "alone")
    trouble, before = troubles(two, client), counted.bytes
    spread = extract_over(
        client, "cpu", str(store.path), str(network), "embeddings", tmp_path / "spread", lambda *_: next(trouble, None)
    )
    assert next(trouble, "over") == "over"
    assert spread.array[:].tobytes() == alone.array[:].tobytes()
    assert counted.bytes - before < 0.05 * store.images.nbytes


def test_answers_survive_workers_that_come_and_go(
    two: RealCluster, client: Client, store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trouble = make_run(tmp_path / "run", DATA.height), troubles(two, client)
    alone = Answers.of(Classifier.load(run, "cpu"), open_image_set(store.path).part(0, IMAGES))
    monkeypatch.setattr("tasks.predict.Progress", lambda *_: lambda *_: next(trouble, None))
    with Workers(Engines(dask_address=two.address)) as workers:
        predict_parts.fn(store.path, run, tmp_path / "out", 100, 0.0, workers)
    assert next(trouble, "over") == "over"
    table = pd.read_parquet(tmp_path / "out" / "predictions")
    assert tuple(table["filename"]) == alone.filename
    for a, name in enumerate(alone.attributes):
        np.testing.assert_array_equal(table[f"{name}.prediction"], alone.predictions[:, a])
        np.testing.assert_allclose(table[f"{name}.margin"], alone.margins[:, a], atol=1e-5)


def test_a_stage_whose_workers_are_all_gone_fails_and_says_so(tmp_path: Path, source: Path, store: ImageStore) -> None:
    """With the setting that `lmle up` and the containers give the scheduler, but fewer seconds."""
    assert process("dask", {})[1][NO_WORKERS_TIMEOUT] == "300s"
    alone = RealCluster(tmp_path)
    try:
        alone.start(**process("dask", {NO_WORKERS_TIMEOUT: "2s"})[1])
        alone.join()
        with Client(alone.address, timeout=120) as client:
            client.wait_for_workers(1, timeout=120)
            with pytest.raises(NoWorkerError, match="without any running workers"):
                ingest(source, DATA, tmp_path, lambda: client, lambda *_: alone.empty())
            alone.join()
            client.wait_for_workers(1, timeout=120)
            assert ingest(source, DATA, tmp_path, lambda: client).digest == store.digest
    finally:
        alone.close()


class Troubled:
    """An engine that meets a trouble before each of its passes but the first."""

    def __init__(self, blocks: DaskBlocks, trouble: Iterator[None]) -> None:
        self.source, self.device = blocks.source, blocks.device
        self._blocks, self._trouble, self._passes = blocks, trouble, 0

    def assign(self, centroids: Centroids) -> tuple[Partial, Slots]:
        """As the engine does."""
        self._passes += 1
        if self._passes > 1:
            next(self._trouble, None)
        return self._blocks.assign(centroids)


def test_k_means_survives_workers_that_come_and_go(
    two: RealCluster, client: Client, counted: Counted, tmp_path: Path
) -> None:
    everything = random_rows(16_000, ATTRIBUTES, 64)
    np.save(tmp_path / "features.npy", everything.array)
    rows = StoredRows(str(tmp_path / "features.npy"), everything.labels)
    start = random_centroids(everything, 2, 2)
    alone = lloyd(TorchBlocks(rows, block=2048), start, iterations=6, tolerance=0)

    def all_at_once() -> Iterator[None]:
        two.empty()
        wait_until(lambda: not client.scheduler_info(n_workers=-1)["workers"])
        two.join()
        two.join()
        yield

    before = counted.bytes
    trouble = chain(troubles(two, client), all_at_once())
    spread = lloyd(Troubled(DaskBlocks(rows, client, block=2048), trouble), start, iterations=6, tolerance=0)
    assert next(trouble, "over") == "over"
    assert spread.history == alone.history
    for one, other in ((spread.slots, alone.slots), (spread.centroids.values, alone.centroids.values)):
        assert one.tobytes() == other.tobytes()
    assert counted.bytes - before < 0.1 * everything.array.nbytes


@pytest.fixture(scope="module")
def mining(store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Mining:
    """Features, clusters and a subset of the training images, each by its path."""
    directory = tmp_path_factory.mktemp("mining")
    array = random_rows(IMAGES, ATTRIBUTES, 1024).array
    Features.create(directory, IMAGES, array.shape[1:], DATA.shard).array[:] = array
    train = store.rows(TRAIN)
    found = clustered(
        TorchBlocks(StoredRows(str(directory), store.labels[train], train)), Cluster(size=50),
        attributes=store.attributes, n_classes=2, seed=0, round=1,
    )  # fmt: skip
    found.save(directory)
    subset = np.sort(np.random.default_rng(0).choice(len(train), 300, replace=False))
    np.save(directory / "subset.npy", subset)
    pools = Pools(None, None)
    return Mining(str(store.path), str(directory), str(directory), str(directory / "subset.npy"), pools, (0, 6, 1))


@pytest.mark.parametrize(("pools", "shares"), [(Pools(None, None), None), (Pools(None, None), 3), (Pools(6, 54), 3)])
def test_mining_over_workers_is_that_of_one_process(
    two: RealCluster, client: Client, counted: Counted, mining: Mining, pools: Pools, shares: int | None, tmp_path: Path
) -> None:
    mining = Mining(mining.store, mining.features, mining.clusters, mining.subset, pools, mining.seed)
    before = counted.bytes
    spread = mine_over(client, "cpu", mining, tmp_path, shares=shares)
    passed = counted.bytes - before
    subset, rows, labels, assignment = mining.read()
    features = Features.open(Path(mining.features)).rows(rows)
    alone = mine(
        features, labels, assignment, subset, pools.positives, pools.impostors, np.random.default_rng(mining.seed)
    )
    for name in ("attribute", "anchor", "farthest_own", "nearest_outside", "farthest_outside", "impostor"):
        np.testing.assert_array_equal(getattr(spread, name), getattr(alone, name), err_msg=name)
    assert not list(tmp_path.iterdir())
    assert passed < 0.05 * features.nbytes


def test_the_stage_mines_over_workers_where_it_pays(
    two: RealCluster, store: ImageStore, mining: Mining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config({"quintuplets": {"mode": "table", "subset": 0.7}})
    parts = {name: Reference(name, getattr(mining, name), name) for name in ("store", "features", "clusters")}
    spread: list[str] = []

    def noted(*arguments: Any, **options: Any) -> Quintuplets:
        spread.append("spread")
        return mine_over(*arguments, **options)

    monkeypatch.setattr("tasks.train.mine_over", noted)
    tables = []
    with Workers(Engines(dask_address=two.address, device="cpu")) as workers:
        for begin in (5.0, -5.0):
            monkeypatch.setattr("tasks.mining.BEGIN", begin)
            made = quintuplets.fn(**parts, number=1, config=config, workspace=tmp_path / f"{begin}", workers=workers)
            tables.append(Quintuplets.load(Path(made.path)))
            assert len(list(Path(made.path).iterdir())) == 2  # the table and its marker
    assert spread == ["spread"]
    everyone = np.arange(len(tables[0]))
    np.testing.assert_array_equal(tables[0].members(everyone), tables[1].members(everyone))


def test_workers_without_a_gpu_compute_on_the_cpu(two: RealCluster) -> None:
    with Workers(Engines(dask_address=two.address)) as workers:
        assert workers.kind() == "cpu" or torch.cuda.is_available()
        assert workers.number() == 2
        assert workers.outdo(torch.device("cpu"))
    with Workers(Engines(dask_address=two.address, device="cpu")) as workers:
        assert workers.kind() == "cpu"


@pytest.mark.gpu
def test_a_worker_computes_on_the_device_that_it_is_given(
    two: RealCluster, client: Client, store: ImageStore, network: Path, mining: Mining, tmp_path: Path
) -> None:
    """`dask cuda worker` sets CUDA_VISIBLE_DEVICES, the worker's own device first; an empty one is a CPU worker."""
    with Workers(Engines(dask_address=two.address)) as workers:
        assert workers.kind() == "cuda"
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cuda").mkdir()
    alone = extract(load_encoder(network, "embeddings"), store, tmp_path / "cpu")
    spread = extract_over(client, "cuda", str(store.path), str(network), "embeddings", tmp_path / "cuda")
    assert (spread.array[:] * alone.array[:]).sum(-1).min() > 0.98  # the device may compute in bfloat16

    everything = random_rows(5000, ATTRIBUTES, 64)
    np.save(tmp_path / "features.npy", everything.array)
    rows = StoredRows(str(tmp_path / "features.npy"), everything.labels)
    start = first_centroids(rows, 2, 2)
    fits = [
        lloyd(blocks, start, iterations=4, tolerance=0)
        for blocks in (TorchBlocks(rows, "cuda", block=1024), DaskBlocks(rows, client, "cuda", block=1024))
    ]
    assert fits[0].history == fits[1].history
    assert fits[0].slots.tobytes() == fits[1].slots.tobytes()

    found = mine_over(client, "cuda", mining, tmp_path)
    subset, picked, labels, assignment = mining.read()
    features = Features.open(Path(mining.features)).rows(picked)
    expected = mine(features, labels, assignment, subset, None, None, np.random.default_rng(0), device="cuda")
    np.testing.assert_array_equal(found.impostor, expected.impostor)

    two.leave()
    two.join(CUDA_VISIBLE_DEVICES="")
    wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2)
    with Workers(Engines(dask_address=two.address)) as workers:
        assert workers.kind() == "cpu"  # not all of them have one
