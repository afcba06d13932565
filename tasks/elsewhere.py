"""Dask workers on other machines: the artefacts that they are sent paths of are fetched from the storage."""

from pathlib import Path

from distributed import Client, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from infra.settings import workspace_path
from lmle_core.artefact import committed
from lmle_core.storage import Storage, StorageError
from tasks.storage import VARIABLE, storage_behind

_senders: dict[Path, str] = {}
"""In a worker: the storage behind the workspace of each run that sends it work."""


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
