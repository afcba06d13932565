"""A Dask cluster of separate processes, as on several machines: workers join, leave and die; bytes are counted."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client

WAIT = 400
"""Seconds for a process to be there, or gone, on a busy machine."""
QUIET = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "DASK_LOGGING__DISTRIBUTED": "error"}


@dataclass
class RealCluster:
    """One `dask scheduler` and any number of `dask worker`s, each without a nanny: a worker that is killed is gone.

    Attributes:
        directory: of the scheduler's file and the workers' own.
        workers: processes of the workers that have not left, the eldest first.
    """

    directory: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _all: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **environment: str) -> str:
        """Start the scheduler, with some variables of its own; returns its address."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._run(
            "scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0", **environment
        )
        wait_until(lambda: _listens(port))
        return self.address

    def join(self, **environment: str) -> None:
        """Start a worker of one thread, with some variables of its own; it joins when it is ready."""
        worker = self._run(
            "worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--memory-limit", "3GiB", "--local-directory", str(self.directory), **environment,
        )  # fmt: skip
        self.workers.append(worker)

    def kill(self) -> None:
        """The eldest worker dies, and all that it holds."""
        eldest = self.workers.pop(0)
        eldest.kill()
        eldest.wait(WAIT)

    def empty(self) -> None:
        """All workers die that are still there."""
        while self.workers:
            self.kill()

    def leave(self) -> None:
        """The eldest worker is asked to go, as a batch system or a spot market does."""
        eldest = self.workers.pop(0)
        eldest.terminate()
        eldest.wait(WAIT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All workers stand still, as on a machine that swaps: what is in the middle stays there."""
        for worker in self.workers:
            worker.send_signal(signal.SIGSTOP)
        yield
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End every process."""
        for process in reversed(self._all):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(WAIT)

    def _run(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            env={**os.environ, **QUIET, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._all.append(process)
        return process


def troubles(cluster: RealCluster, client: Client) -> Iterator[None]:
    """What befalls two workers in the middle of a stage, a step each time that it is asked for.

    One is killed while the other stands still, and a third joins; the second leaves; a fourth joins when it can.
    """
    with cluster.frozen():
        cluster.kill()
        before = set(client.scheduler_info(n_workers=-1)["workers"])
        cluster.join()
        wait_until(lambda: bool(set(client.scheduler_info(n_workers=-1)["workers"]) - before))
    yield
    cluster.leave()
    cluster.join()
    yield


def wait_until(true: Callable[[], bool]) -> None:
    """Look again and again until it is true."""
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


class Counted:
    """A port that passes everything on to an address and back, and counts the bytes of both ways.

    Attributes:
        address: of the port.
        bytes: passed so far.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").partition(":")
        self._target = host, int(port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.bytes = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    self.bytes += len(data)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
