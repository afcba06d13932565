"""Artefacts that several machines share: found in the storage behind the workspace, and left there for the others."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from infra.settings import workspace_path
from lmle_core.artefact import Reference, committed, make_once
from lmle_core.config import Engines
from lmle_core.storage import Storage, StorageError
from tasks.progress import say

VARIABLE = "LMLE_STORAGE"
_senders: dict[Path, str] = {}
"""In a Dask worker: the storage behind the workspace of each run that sends it work."""


@contextmanager
def sharing(engines: Engines, workspace: Path) -> Iterator[None]:
    """Let this process, and those that it starts meanwhile, use the configured storage.

    Raises:
        LocationError: if it cannot be used.
    """
    before = os.environ.get(VARIABLE)
    if engines.storage:
        os.environ[VARIABLE] = engines.storage
    try:
        if (storage := storage_behind(workspace)) is not None:
            storage.check()
            say(f"{'storage':<12} {storage.url}")
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def storage_behind(workspace: Path) -> Storage | None:
    """The storage that LMLE_STORAGE names; None where there is none."""
    url = os.environ.get(VARIABLE)
    return Storage(workspace.absolute(), url) if url else None


def make_shared(
    workspace: Path,
    directory: Path,
    stage: str,
    inputs: Mapping[str, Any],
    make: Callable[[Path, dict[str, Any]], None],
    *,
    resume: bool = False,
) -> tuple[Reference, bool]:
    """`make_once` in a workspace: what is not there is fetched from the storage behind it, what is made is uploaded."""
    storage = storage_behind(workspace)
    if storage is not None and storage.fetch(directory):
        say(f"{stage:<12} fetched from {storage.url}")
    reference, found = make_once(directory, stage, inputs, make, resume=resume)
    if storage is not None:
        storage.upload(directory)
    return reference, found


def share_with(client: Client, workspace: Path) -> None:
    """Let the workers of a cluster, those that join later too, find what lies in a workspace that they do not see."""
    storage = storage_behind(workspace)
    if storage is not None:
        client.register_plugin(_Sender(storage))


def local(path: str | Path) -> Path:
    """Where the artefact at a path of the machine that sent it is on this one.

    That is the path itself where there is something; else this machine's own workspace (LMLE_WORKSPACE), where it
    is fetched to from the storage behind the sender's.

    Raises:
        StorageError: where it is in neither, or damaged in the storage.
    """
    path = Path(path)
    if path.exists():  # under its final name an artefact is whole
        return path
    workspace = next((sender for sender in _senders if path.is_relative_to(sender)), None)
    if workspace is None:
        raise StorageError(
            f"{path}: no artefact is there on this machine; let it see the workspace, or set {VARIABLE} or "
            "engines.storage for the run"
        )
    directory = workspace_path() / path.relative_to(workspace)
    here = Storage(workspace_path(), _senders[workspace])
    if not here.fetch(directory) and committed(directory) is None:
        raise StorageError(f"{path}: neither on this machine nor in the storage {_senders[workspace]}")
    return directory


def sees(path: Path, changed: int) -> bool:
    """Whether this machine has at a path the very file that another one has there, by its time of change in ns."""
    try:
        return path.stat().st_mtime_ns == changed
    except OSError:
        return False


class _Sender(WorkerPlugin):  # type: ignore[misc]
    """Tells a worker of a workspace and the storage behind it."""

    def __init__(self, storage: Storage) -> None:
        self.name = f"lmle-storage {storage.workspace}"
        self._storage = storage

    def setup(self, worker: Worker) -> None:
        """Called in the worker."""
        _senders[self._storage.workspace] = self._storage.url
