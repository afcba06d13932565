"""The Dask cluster that a run computes on: one at an address, or one of its own for as long as it needs it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import dask
import psutil
from distributed import Client, LocalCluster, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from lmle_core.config import Engines
from lmle_core.cores import cores

ADDRESS_VARIABLE = "LMLE_DASK_ADDRESS"
CONNECT_SECONDS = 10
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


def runs_old_code() -> bool:
    """Called in a worker: whether the code that it computes with is older than the files it was read from."""
    files = [file for name in ("lmle_core", "tasks") for file in Path(import_module(name).__path__[0]).rglob("*.py")]
    return psutil.Process().create_time() + CLOCK < max(file.stat().st_mtime for file in files)


def cuda_devices() -> int:
    """Called in a worker: how many CUDA devices it sees. Its own comes first, as `dask cuda worker` arranges it."""
    import torch

    return torch.cuda.device_count()


@contextmanager
def dask_client(engines: Engines, *, own: bool = False) -> Iterator[Client]:
    """A client of `engines.dask_address`, else of the scheduler in LMLE_DASK_ADDRESS, else of a cluster of its own.

    With `own`, it is a cluster of its own whatever address there is. That has `engines.dask_workers` spawned processes
    (0: one a core) of one thread each, no dashboard, and ends with the context; a worker that dies is replaced. A
    cluster at an address is left running.

    Raises:
        DaskError: if no scheduler answers at the address, or workers there were started before their code changed: what
            they compute would pass for the new code's.
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
            if old := [worker for worker, is_old in client.run(runs_old_code).items() if is_old]:
                raise DaskError(
                    f"{len(old)} Dask workers at {address} run code that has changed since they were started, such as "
                    f"{old[0]}: start them anew (`lmle down`, then `lmle up`)"
                )
            client.register_plugin(SingleThreaded())
            yield client
        return
    settings = {
        "distributed.nanny.pre-spawn-environ": OWN_ENVIRONMENT,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.no-workers-timeout": dask.config.get("distributed.scheduler.no-workers-timeout")
        or "300s",
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
