"""The Dask cluster of a run: its own, single-threaded and gone afterwards, or one at an address, left running."""

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster, Worker
from distributed.comm import CommClosedError

from lmle_core.config import Engines
from tasks import dask_cluster
from tasks.dask_cluster import ADDRESS_VARIABLE, DaskError, dask_client
from tasks.workers import Workers

OWN = Engines(dask_workers=2, dask_memory="3GiB")


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def running() -> Iterator[LocalCluster]:
    """A cluster that somebody else started, in this process."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


def threads() -> tuple[str | None, int, bool]:
    """OpenMP's threads, which are torch's too, and OpenCV's; and whether a dashboard was imported."""
    import cv2

    return os.environ.get("OMP_NUM_THREADS"), cv2.getNumThreads(), "bokeh" in sys.modules


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_own_cluster_has_single_threaded_processes_and_ends_with_the_context(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with dask_client(OWN) as client:
        assert set(client.run(threads).values()) == {("1", 1, False)}
        assert set(client.nthreads().values()) == {1}
        pids = set(client.run(os.getpid).values())
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert all(worker["memory_limit"] == 3 * 2**30 for worker in client.scheduler_info()["workers"].values())
    assert not any(alive(pid) for pid in pids)
    assert capfd.readouterr() == ("", "")


async def unanswered_heartbeat(dask_worker: Worker) -> None:
    """What a worker does whose scheduler closes while a heartbeat is on its way, and another error."""

    async def closed(**_: object) -> None:
        raise CommClosedError("Stream is closed")

    dask_worker.scheduler.heartbeat_worker = closed
    await dask_worker.heartbeat()
    del dask_worker.scheduler.heartbeat_worker
    logging.getLogger("distributed.worker").error("something else")


def test_an_unanswered_heartbeat_of_an_own_worker_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    with dask_client(OWN) as client:
        client.run(unanswered_heartbeat)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert all(line.endswith("something else") for line in lines)


def test_a_cluster_at_an_address_is_used_and_left_running(
    running: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dask_client(Engines(dask_address=running.scheduler_address)) as client:
        assert client.submit(int, "7").result() == 7
    monkeypatch.setenv(ADDRESS_VARIABLE, running.scheduler_address)
    with dask_client(Engines()) as client:
        assert client.scheduler.address == running.scheduler_address
        assert "lmle-single-threaded" in client.run(lambda dask_worker: list(dask_worker.plugins)).popitem()[1]
    with Client(running) as client:
        assert client.submit(int, "8").result() == 8


def test_workers_that_are_older_than_their_code_are_refused(
    running: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "changed.py"
    changed.touch()
    os.utime(changed, (time.time() + 60,) * 2)
    monkeypatch.setattr(dask_cluster, "import_module", lambda name: SimpleNamespace(__path__=[str(tmp_path)]))
    message = "1 Dask workers at .* run code that has changed since they were started"
    with Workers(Engines(dask_address=running.scheduler_address)) as workers, pytest.raises(DaskError, match=message):
        workers.client()
    dask_cluster.code_digest.cache_clear()  # of the file above


def test_a_worker_of_another_checkout_is_refused_also_where_it_joins_later(tmp_path: Path) -> None:
    for package in ("lmle_core", "tasks"):
        shutil.copytree(Path(dask_cluster.__file__).parents[1] / package, tmp_path / package)
    (tmp_path / "tasks" / "spread.py").write_text("")
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR
    ) as cluster, Workers(Engines(dask_address=cluster.scheduler_address)) as workers:  # fmt: skip
        assert workers.number() == 1
        child = subprocess.Popen(
            [sys.executable, "-m", "dask", "worker", cluster.scheduler_address, "--nthreads", "1", "--no-dashboard"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with Client(cluster) as client:
                client.wait_for_workers(2, timeout=120)
            with pytest.raises(DaskError, match=r"^1 Dask workers at .* run other code than this"):
                workers.client()
        finally:
            child.terminate()
            child.wait(60)


def test_a_cluster_whose_workers_are_still_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR
    ) as cluster, Workers(Engines(dask_address=cluster.scheduler_address)) as workers:  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(dask_cluster, "NO_WORKERS", 0.5)
            with pytest.raises(DaskError, match=r"^no worker joined the Dask scheduler at tcp://.* in 0.5 s$"):
                workers.client()
        begun = threading.Timer(1, cluster.scale, (1,))
        begun.start()
        assert workers.number() == 1
        begun.join()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://"])
def test_an_address_without_a_scheduler_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(DaskError) as caught, dask_client(Engines(dask_address=address)):
        pass
    assert address in str(caught.value)
    assert "LMLE_DASK_ADDRESS" in str(caught.value)


def test_an_error_inside_the_context_ends_an_own_cluster_too() -> None:
    pids: list[int] = []
    with pytest.raises(ZeroDivisionError), dask_client(OWN.model_copy(update={"dask_workers": 1})) as client:
        pids += client.run(os.getpid).values()
        client.submit(divmod, 1, 0).result()
    assert pids
    assert not any(alive(pid) for pid in pids)
