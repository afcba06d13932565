"""The run's Dask cluster, started when a stage first needs it: a run that finds every stage done starts none."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from distributed import Client

from infra.settings import workspace_path
from lmle_core.config import Engines
from tasks.elsewhere import sees, share_with
from tasks.progress import say


class Workers:
    """A context that owns the client of a Dask cluster, which `client` connects to or starts at its first call."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._stack = ExitStack()
        self._client: Client | None = None
        self._writers: Client | None = None

    def client(self) -> Client:
        """The client of the configured cluster (see `tasks.dask_cluster.dask_client`)."""
        if self._client is None:
            from tasks.dask_cluster import dask_client

            self._client = self._stack.enter_context(dask_client(self._engines))
            share_with(self._client, workspace_path(self._engines.workspace))
            workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
            say(f"dask         {self._client.scheduler.address}, {workers} workers")
        return self._client

    def writers(self, workspace: Path) -> Client:
        """The client of a cluster whose workers write into the workspace.

        That is the configured one where all of its workers see the workspace, and else one of its own on this machine.
        """
        if self._writers is None:
            client = self.client()
            seen = workspace / "seen"
            seen.touch()
            if not all(client.run(sees, seen, seen.stat().st_mtime_ns).values()):
                from tasks.dask_cluster import dask_client

                say(f"dask         its workers do not see {workspace}: what writes there runs on this machine")
                client = self._stack.enter_context(dask_client(self._engines, own=True))
            self._writers = client
        return self._writers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
