"""Where runs are recorded: MLflow's address, and a connection to it without telemetry or talk."""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from infra import settings
from lmle_core.config import Engines

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
SQLITE = "sqlite:///"
SECONDS = 10.0
"""For which a connection is waited for."""


class TrackingError(RuntimeError):
    """The MLflow store refuses, or cannot be used as it is; the message says what to do."""


class MissingError(TrackingError):
    """The MLflow store answers, and lacks what was asked for."""


@contextmanager
def asking(missing: str) -> Iterator[None]:
    """Tell what MLflow raises apart: what was asked for is missing, or the asking failed.

    Args:
        missing: what to say of it where it is missing.

    Raises:
        MissingError: for what is not there.
        TrackingError: for what MLflow refuses otherwise.
        OSError: of a disk or the network.
    """
    try:
        yield
    except OSError as error:
        gone = getattr(getattr(error, "response", None), "status_code", None) == HTTPStatus.NOT_FOUND
        if not gone and not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise
        raise MissingError(f"{missing} ({shown(error)})") from None
    except import_module("mlflow.exceptions").MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # the latter of an alias
            raise MissingError(f"{missing} ({shown(error)})") from None
        raise TrackingError(f"MLflow: {shown(error)}") from None


def own_store(workspace: Path) -> str:
    """Address of a workspace's own store: SQLite in it, or PostgreSQL where LMLE_POSTGRES names a server."""
    return settings.tracking_uri(workspace.resolve())


def tracking_uri(engines: Engines, workspace: Path) -> str:
    """The configuration's address, else MLFLOW_TRACKING_URI, else the workspace's own store.

    The path of an SQLite file is made absolute, so that the workspace's own store is known by any way to it.
    """
    uri = engines.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or own_store(workspace)
    return f"{SQLITE}{Path(uri.removeprefix(SQLITE)).resolve()}" if uri.startswith(SQLITE) else uri


def shown(text: object) -> str:
    """An address, or a text or error with addresses in it, as people may see it: without passwords."""
    return re.sub(r"(?<=//)([^:/\s]*):\S*@", r"\1:***@", str(text))


def quiet_mlflow() -> Any:
    """The `mlflow` module, imported late, without telemetry and without talk on stdout or in the log."""
    os.environ.setdefault("DO_NOT_TRACK", "true")  # "1" has no effect on MLflow
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    mlflow = import_module("mlflow")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # warns of an environment without pip
    return mlflow


KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag by which MLflow's UI shows training runs, metrics and models first, and not traces of language models."""


def connect(uri: str) -> Any:
    """An MLflow client of the store at `uri`, for tracking and registry alike.

    Raises:
        TrackingError: for an address that is no database and no server.
    """
    if not uri.startswith((SQLITE, "postgresql", "mysql", "mssql", "http://", "https://")):
        raise TrackingError(
            f"MLflow address {shown(uri)!r}: expected sqlite:///PATH, postgresql+psycopg://… or the http://… of a "
            "server (MLflow does not write to plain folders any more); set engines.tracking_uri or MLFLOW_TRACKING_URI"
        )
    if uri.startswith(SQLITE):
        Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    return quiet_mlflow().MlflowClient(tracking_uri=uri, registry_uri=uri)


def answering_uri(engines: Engines, workspace: Path) -> str:
    """The address as of `tracking_uri`. Raises TrackingError where nothing answers there."""
    uri = tracking_uri(engines, workspace)
    check_reachable(uri)
    return uri


def check_reachable(uri: str) -> None:
    """Ask once whether anything listens at an address, where MLflow itself would ask for minutes.

    Raises:
        TrackingError: if nothing does, or it is no address. A file, and what is behind a proxy or a socket, is not
            asked.
    """
    parts = urlsplit(uri)
    try:
        named = parts.port
    except ValueError as error:
        raise TrackingError(f"MLflow's store {shown(uri)}: {error}") from None
    if not parts.hostname or (getproxies().get(parts.scheme) and not proxy_bypass(parts.hostname)):
        return
    kind = parts.scheme.partition("+")[0]
    port = named or PORTS.get(kind)
    if port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), SECONDS).close()
    except OSError as error:
        raise TrackingError(
            f"MLflow's store does not answer at {shown(uri)} ({error}): start it, or set another with "
            "engines.tracking_uri, MLFLOW_TRACKING_URI or LMLE_POSTGRES"
        ) from None


def every_page(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
    """All that a search of MLflow's client finds, page by page."""
    token: str | None = None
    while True:
        page = search(*arguments, **options, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def own_artifacts(uri: str, workspace: Path) -> Path | None:
    """Where the workspace's own store keeps its artifacts; None for another store, which decides itself."""
    return settings.artifact_root(workspace.resolve()) if uri == own_store(workspace) else None


def find_experiment(client: Any, name: str, artifacts: Path | None) -> str:
    """MLflow's identity of an experiment, made where it does not exist.

    Args:
        client: of the store.
        name: of the experiment.
        artifacts: where a new one keeps its artifacts; None: as the server decides.

    Raises:
        TrackingError: where the experiment was deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            location = artifacts.as_uri() if artifacts else None
            return str(client.create_experiment(name, artifact_location=location, tags=KIND))
        except import_module("mlflow.exceptions").MlflowException:  # another run made it meanwhile
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow experiment {name!r} was deleted: restore it (mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}) or name another with engines.experiment"
        )
    return str(experiment.experiment_id)
