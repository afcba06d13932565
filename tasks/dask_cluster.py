"""The Dask cluster that a run computes on: one at an address, or one of its own for as long as it needs it."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed import Client, LocalCluster, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from lmle_core.artefact import digest_of
from lmle_core.config import Engines
from lmle_core.cores import cores
from tasks.progress import say

ADDRESS_VARIABLE = "LMLE_DASK_ADDRESS"
CONNECT_SECONDS, NO_WORKERS = 10, 300
CLOCK = 2.0
"""Seconds by which the start of a process may be told too early: Linux counts it from a boot in whole seconds."""
OWN_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "DASK_LOGGING__DISTRIBUTED": "warning",
    "CUDA_VISIBLE_DEVICES": "",
}
"""Environment of owned workers; it is set before the process starts, since libraries read it when they are loaded. They
are a process a core and leave a GPU to the run itself."""


class DaskError(RuntimeError):
    """A scheduler that cannot be used."""


class SingleThreaded(WorkerPlugin):  # type: ignore[misc]
    """Keeps every library in a worker to one thread: the cluster has one process a core."""

    name = "lmle-single-threaded"

    def setup(self, worker: Worker) -> None:
        """Called in the worker; sets what the environment does not reach (OpenCV), or came too late for (torch)."""
        import sys

        import cv2

        cv2.setNumThreads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)


class WithoutHeartbeatErrors(WorkerPlugin):  # type: ignore[misc]
    """Keeps an owned worker from logging a heartbeat that its scheduler, which ends with it, no longer answers."""

    name = "lmle-without-heartbeat-errors"

    def setup(self, worker: Worker) -> None:
        """Called in the worker."""
        logging.getLogger("distributed.worker").addFilter(lambda record: "during heartbeat" not in record.getMessage())


def address_of(engines: Engines) -> str | None:
    """The scheduler that is to be used: `engines.dask_address`, else LMLE_DASK_ADDRESS; None: a cluster of its own."""
    return engines.dask_address or os.environ.get(ADDRESS_VARIABLE) or None


@cache
def code_digest() -> str:
    """Of the sources of `lmle_core` and `tasks`, as this process first saw them."""
    return digest_of({str(file.relative_to(root)): file.read_text() for root, file in _sources()})


def worker_code() -> tuple[str, bool]:
    """Called in a worker: its `code_digest`, and whether it was started before a source was changed."""
    newest = max(file.stat().st_mtime for _, file in _sources())
    return code_digest(), psutil.Process().create_time() + CLOCK < newest


def _sources() -> list[tuple[Path, Path]]:
    roots = [Path(import_module(name).__path__[0]) for name in ("lmle_core", "tasks")]
    return [(root.parent, file) for root in roots for file in sorted(root.rglob("*.py"))]


def asked(client: Client, function: Callable[..., Any], *arguments: Any, **options: Any) -> dict[str, Any]:
    """What each worker answers, as `Client.run` does; one that leaves meanwhile is left out."""
    answers = client.run(function, *arguments, **options, on_error="return")
    for answer in answers.values():
        if isinstance(answer, Exception) and not isinstance(answer, OSError):
            raise answer
    return {worker: answer for worker, answer in answers.items() if not isinstance(answer, OSError)}


def await_workers(client: Client) -> None:
    """Return when the cluster has a worker. Raises DaskError where none joins in `NO_WORKERS` seconds."""
    if not client.nthreads():
        say(f"dask         {client.scheduler.address} has no worker: waiting for one")
        try:
            client.wait_for_workers(1, timeout=NO_WORKERS)
        except TimeoutError:
            place = client.scheduler.address
            raise DaskError(f"no worker joined the Dask scheduler at {place} in {NO_WORKERS} s") from None


def check_code(client: Client, workers: Iterable[str]) -> None:
    """Raise DaskError unless workers run this process's code: what they compute would pass for it."""
    try:
        codes = asked(client, worker_code, workers=list(workers))
    except (AttributeError, ImportError):  # code without this function
        codes = dict.fromkeys(workers, ("", False))
    if old := [worker for worker, (_, changed) in codes.items() if changed]:
        raise DaskError(
            f"{len(old)} Dask workers at {client.scheduler.address} run code that has changed since they were started, "
            f"such as {old[0]}: start them anew (`lmle down`, then `lmle up`)"
        )
    if other := [worker for worker, (digest, _) in codes.items() if digest != code_digest()]:
        raise DaskError(
            f"{len(other)} Dask workers at {client.scheduler.address} run other code than this process, such as "
            f"{other[0]}: give them the same version of lmle, and start anew what was running when it was changed"
        )


def cuda_devices() -> int:
    """Called in a worker: how many CUDA devices it can use. Its own comes first, as `dask cuda worker` arranges it."""
    from lmle_core.device import gpus

    return gpus()


@contextmanager
def dask_client(engines: Engines, *, own: bool = False) -> Iterator[Client]:
    """A client of `engines.dask_address`, else of the scheduler in LMLE_DASK_ADDRESS, else of a cluster of its own.

    With `own`, it is a cluster of its own whatever address there is. That has `engines.dask_workers` spawned processes
    (0: one a core) of one thread each, no dashboard, and ends with the context; a worker that dies is replaced. A
    cluster at an address is left running.

    Raises:
        DaskError: if no scheduler answers at the address.
    """
    address = None if own else address_of(engines)
    if address is not None:
        try:
            client = Client(address, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise DaskError(
                f"no Dask scheduler answers at {address} ({error}); start one, or unset engines.dask_address and "
                f"{ADDRESS_VARIABLE} to have a local cluster"
            ) from None
        with client:
            client.register_plugin(SingleThreaded())
            yield client
        return
    settings = {
        "distributed.nanny.pre-spawn-environ": OWN_ENVIRONMENT,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.no-workers-timeout": dask.config.get("distributed.scheduler.no-workers-timeout")
        or f"{NO_WORKERS}s",
    }
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=engines.dask_workers or cores(),
            threads_per_worker=1,
            processes=True,
            memory_limit=engines.dask_memory,
            dashboard_address="127.0.0.1:0",  # the scheduler's HTTP server; None would be port 8787
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.ERROR,
        )
    try:
        with Client(cluster) as client:
            client.register_plugin(SingleThreaded())
            client.register_plugin(WithoutHeartbeatErrors())
            yield client
    finally:
        with suppress(TimeoutError):
            cluster.close(timeout=20)
