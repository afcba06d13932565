"""The run's Dask cluster, started when a stage first needs it: a run that finds every stage done starts none."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Self

import torch
from distributed import Client

from infra.settings import workspace_path
from lmle_core.config import Engines
from tasks.dask_cluster import DaskError, address_of, asked, await_workers, check_code, cuda_devices, dask_client
from tasks.elsewhere import sees, share_with
from tasks.progress import say


class Workers:
    """A context that owns the client of a Dask cluster, which `client` connects to or starts at its first call."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._stack = ExitStack()
        self._client: Client | None = None
        self._writers: Client | None = None
        self._known: set[str] = set()
        self._kind: str | None = None

    def client(self) -> Client:
        """The client of the configured cluster (see `tasks.dask_cluster.dask_client`).

        Raises:
            DaskError: as that, where no worker joins in `NO_WORKERS` seconds, and where workers, those that have joined
                since too, run other code (`check_code`) or lack the GPU that the others compute on.
        """
        if self._client is None:
            self._client = self._stack.enter_context(dask_client(self._engines))
            share_with(self._client, workspace_path(self._engines.workspace))
        await_workers(self._client)
        if new := self._client.nthreads().keys() - self._known:
            check_code(self._client, new)
            if self._kind == "cuda" and not all(asked(self._client, cuda_devices, workers=list(new)).values()):
                raise DaskError(f"of the Dask workers that have joined, {', '.join(sorted(new))}, some have no GPU")
            if not self._known:
                say(f"dask         {self._client.scheduler.address}, {len(new)} workers")
            self._known |= new
        return self._client

    def writers(self, workspace: Path) -> Client:
        """The client of a cluster whose workers write into the workspace.

        That is the configured one where all of its workers see the workspace, and else one of its own on this machine.
        """
        if self._writers is None:
            client = self.client()
            if not self.see(workspace):
                say(f"dask         its workers do not see {workspace}: what writes there runs on this machine")
                client = self._stack.enter_context(dask_client(self._engines, own=True))
            self._writers = client
        return self._writers

    def see(self, workspace: Path) -> bool:
        """Whether all workers of the configured cluster see the workspace."""
        with NamedTemporaryFile(dir=workspace, prefix="seen-") as file:
            seen = Path(file.name)
            answers = asked(self.client(), sees, seen, seen.stat().st_mtime_ns)
            return bool(answers) and all(answers.values())

    def number(self) -> int:
        """How many workers there are now."""
        return len(self.client().nthreads())

    def kind(self) -> str:
        """Where the workers compute: 'cuda' where each of them has a CUDA device and the run may use one, else 'cpu'.

        One kind for all: a result must not depend on which worker computed a part of it.
        """
        if self._kind is None:
            self._kind = "cpu"
            if self.at_address() and self._engines.device != "cpu":
                devices = asked(self.client(), cuda_devices)
                self._kind = "cuda" if devices and all(devices.values()) else "cpu"
        return self._kind

    def at_address(self) -> bool:
        """Whether the cluster is one at an address: it may have more than this machine has."""
        return address_of(self._engines) is not None

    def outdo(self, device: torch.device) -> bool:
        """Whether the workers are to do what one process could on a device: on a CPU always, else with several GPUs."""
        return device.type == "cpu" or (self.at_address() and self.kind() == "cuda" and self.number() > 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
