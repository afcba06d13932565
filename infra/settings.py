"""Where a workspace keeps its things, and the environment that the engines' processes run in."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.postgres import Postgres

LOOPBACK = "127.0.0.1"

# Said to every process of ours: no telemetry, no look-ups, no advertising.
QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "DASK_LOGGING__DISTRIBUTED": "warning",
    "GIT_PYTHON_REFRESH": "quiet",
}


def without_proxy() -> None:
    """Let this process and its children reach loopback by no proxy that the environment names."""
    named = [os.environ.get(variable, "") for variable in ("no_proxy", "NO_PROXY")]
    hosts = [host.strip() for host in ",".join(named).split(",") if host.strip()]
    both = ",".join(dict.fromkeys([*hosts, LOOPBACK, "localhost"]))  # libraries differ in which of the two they heed
    os.environ.update({"no_proxy": both, "NO_PROXY": both})


def workspace_path(workspace: Path | None = None) -> Path:
    """The workspace, absolute: the one given, else LMLE_WORKSPACE, else ./workspace. Raises LocationError for a URL."""
    return local(Path(workspace or os.environ.get("LMLE_WORKSPACE") or "workspace"), "the workspace")


def local(path: Path, what: str) -> Path:
    """A path of this machine, absolute. Raises LocationError for a URL, which a path has made one slash of."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        from lmle_core.location import LocationError

        raise LocationError(
            f"{what} {path}: expected a folder of this machine or one mounted there, found a URL; artefacts are shared "
            "through an object store by engines.storage or LMLE_STORAGE (docs/storage.md)"
        )
    return path.expanduser().resolve()


def prefect_home(workspace: Path) -> Path:
    """Prefect's own folder: its database and the records of finished task runs."""
    return workspace / "prefect"


def postgres(environment: Mapping[str, str] = os.environ) -> "Postgres | None":
    """The PostgreSQL server named by LMLE_POSTGRES, where it is set. Raises PostgresError for a bad address."""
    from infra.postgres import Postgres

    address = environment.get("LMLE_POSTGRES")
    return Postgres.parse(address) if address else None


def prefect_database(workspace: Path) -> Path:
    """Prefect's SQLite database; in-process runs and services share it, so the UI shows both."""
    return prefect_home(workspace) / "prefect.db"


def prefect_database_url(workspace: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Prefect's database: on the PostgreSQL server, else SQLite in the workspace."""
    server = postgres(environment)
    return server.prefect if server else f"sqlite+aiosqlite:///{prefect_database(workspace)}"


def tracking_uri(workspace: Path, environment: Mapping[str, str] = os.environ) -> str:
    """MLflow's database, likewise; used directly where no MLflow server is up."""
    server = postgres(environment)
    return server.mlflow if server else f"sqlite:///{workspace / 'mlflow.db'}"


def artifact_root(workspace: Path) -> Path:
    """Where MLflow's artifacts lie; a server and direct use agree on it."""
    return workspace / "mlartifacts"


def logs(workspace: Path) -> Path:
    """Where the servers write what they have to say."""
    return workspace / "logs"


def run_environment(workspace: Path) -> dict[str, str]:
    """Variables for a process that runs flows, beside the addresses of the services."""
    home = prefect_home(workspace)
    return {
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lmle",
        "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def server_environment(workspace: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for a Prefect server on the workspace's database."""
    return {
        **QUIET,
        "PREFECT_HOME": str(prefect_home(workspace)),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect_database_url(workspace, environment),
        # A run of a deployment with a concurrency limit holds a lease; in memory it would not outlive the server, whose
        # restart would end the run.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # A training beside it may leave the server little of the machine.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "NOTSET",  # into its log, also where the parent keeps quiet
    }
