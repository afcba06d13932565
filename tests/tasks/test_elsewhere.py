"""A Dask worker on another machine: what it is sent references to, it fetches; what it makes, it sends back.

The other machine is a worker in a mount namespace of its own, where an empty file system hides the run's workspace.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distributed import Client
from upath import UPath

from lmle_core.artefact import MARKER, make_once
from lmle_core.celeba.annotations import read_celeba
from lmle_core.clusters import cluster
from lmle_core.config import Cluster, Config, Data, Engines, parse_config
from lmle_core.features import Features, extract, load_encoder
from lmle_core.ingest import ingest_over
from lmle_core.kmeans import StoredRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.network import NetworkSpec, build_network, save_network
from lmle_core.quintuplets import Quintuplets
from lmle_core.store import TRAIN, ImageStore
from tasks import clusters, data, features, train
from tasks.elsewhere import local
from tasks.storage import VARIABLE, make_shared, sharing
from tasks.workers import Workers
from tests.lmle_core.celeba.small import write_small
from tests.object_store import ObjectStore

ROOT = Path(__file__).parents[2]
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
DATA = Data(height=32, width=32, shard=16)
TABLE = parse_config({"quintuplets": {"mode": "table"}})
KEY = "0" * 32


@contextmanager
def process(log: Path, *command: str, **environment: str) -> Iterator[None]:
    with log.open("w") as said:
        child = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=os.environ | environment, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(child.pid, 9)
        child.wait()


@contextmanager
def elsewhere(tmp_path: Path, hidden: Path) -> Iterator[str]:
    """The address of a scheduler whose one worker does not see a folder and has `tmp_path/elsewhere` for workspace."""
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces: run as root, or allow user namespaces")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    python = sys.executable
    worker = f"mount -t tmpfs none {hidden} && exec {python} -m dask worker tcp://{address} --nthreads 1 --no-dashboard"
    with ExitStack() as stack:
        scheduler = (python, "-m", "dask", "scheduler", "--port", address.split(":")[1], "--no-dashboard")
        stack.enter_context(process(tmp_path / "scheduler.log", *scheduler, "--host", "127.0.0.1"))
        stack.enter_context(
            process(
                tmp_path / "worker.log", *NAMESPACE, "sh", "-c",
                f"{worker} --host 127.0.0.1 --local-directory {tmp_path}",
                LMLE_WORKSPACE=str(tmp_path / "elsewhere"), OMP_NUM_THREADS="1",
            )
        )  # fmt: skip
        with Client(address, timeout=120) as client:
            client.wait_for_workers(1, timeout=120)
        yield f"tcp://{address}"


def write_network(partial: Path, record: dict[str, Any]) -> None:
    save_network(build_network(NetworkSpec("six-layer", 4, 3, 2, 8), seed=0), partial)


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.services
def test_a_worker_that_does_not_see_the_workspace_computes_the_same(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_small(tmp_path / "celeba", images=80)
    bucket = UPath("s3://elsewhere")
    bucket.mkdir()
    bucket.fs.put(str(folder), f"{bucket.path}/celeba", recursive=True)
    workspace = tmp_path / "here" / "workspace"
    workspace.mkdir(parents=True)
    config = Config(cluster=Cluster(size=20, engine="dask"))
    with elsewhere(tmp_path, workspace.parent) as address:
        engines = Engines(
            device="cpu", storage="s3://elsewhere/lmle", workspace=workspace, dask_address=address, dask_workers=1
        )
        with sharing(engines, workspace), Workers(engines) as workers:
            store = data.ingest_images.fn(bucket / "celeba", (), "", DATA, workspace, workers)
            network, _ = make_shared(workspace, workspace / "stages" / "prior" / KEY, "prior", {}, write_network)
            made = features.features.fn(store, network, "embeddings", engines, workspace, workers)
            found = clusters.clusters.fn(store, made, None, 1, config, workspace, workers)
            (there,) = workers.client().run(lambda: str(Path(os.environ["LMLE_WORKSPACE"]))).values()
            assert not any(workers.client().run(os.path.exists, store.path).values())
            # What workers would write into the workspace is found in this process, though many would be faster.
            monkeypatch.setattr("tasks.mining.BEGIN", -5.0)
            monkeypatch.setattr("tasks.train.mine_over", None)
            table = train.quintuplets.fn(store, made, found, 1, TABLE, workspace, workers)
            assert len(Quintuplets.load(Path(table.path)))
        assert VARIABLE not in os.environ

    # The worker has fetched what it read, and nothing else.
    fetched = {str(marker.parent.relative_to(there)): marker.parent for marker in Path(there).glob("*/**/" + MARKER)}
    sent = {str(Path(each.path).relative_to(workspace)): Path(each.path) for each in (store, network, made)}
    assert fetched.keys() == sent.keys()
    assert all(tree(fetched[name]) == tree(sent[name]) for name in sent)

    # One process that sees everything makes the same.
    alone = tmp_path / "alone"
    with ThreadPoolExecutor(1) as pool:
        (alone / "store").mkdir(parents=True)
        assert ingest_over(pool, alone / "store", read_celeba(folder), DATA) == store.digest
    images = ImageStore.open(alone / "store")
    expected = extract(load_encoder(Path(network.path), "embeddings"), images, alone)
    assert np.array_equal(Features.open(Path(made.path)).array[:], expected.array[:])
    rows = images.rows(TRAIN)
    cells = cluster(
        TorchBlocks(StoredRows(str(alone), images.labels[rows], rows), torch.device("cpu")), config.cluster,
        attributes=images.attributes, n_classes=2, seed=config.seed, round=1, warm=None,
    )  # fmt: skip
    (alone / "cells").mkdir()
    cells.save(alone / "cells")
    saved = tree(Path(found.path))
    del saved[MARKER]
    assert saved == tree(alone / "cells")


def test_a_path_that_leads_nowhere_is_refused_with_what_to_do(tmp_path: Path) -> None:
    reference, _ = make_once(tmp_path / KEY, "prior", {}, write_network)
    assert local(reference.path) == tmp_path / KEY
    with pytest.raises(RuntimeError, match=r"no artefact is there on this machine.*engines\.storage"):
        local(tmp_path / "elsewhere" / KEY)
