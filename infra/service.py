"""One service as one process, described by environment variables alone: what `lmle up`, compose and Kubernetes start.

    python -m infra.service mlflow            becomes MLflow's server
    python -m infra.service mlflow --check    ends with 0 where it answers, with 1 where it does not

The variables, each with the default that belongs to one machine: PREFECT_API_URL, MLFLOW_TRACKING_URI,
LMLE_DASK_ADDRESS and LMLE_DASK_DASHBOARD are where the services are reached, and a service listens on the port of its
own; LMLE_HOST is the address it listens on; LMLE_WORKSPACE and LMLE_POSTGRES are where records are kept;
LMLE_DASK_WORKERS is how many processes of one thread. MLflow's own MLFLOW_DEFAULT_ARTIFACT_ROOT and
MLFLOW_ARTIFACTS_DESTINATION win over the workspace's folder `mlartifacts`.
"""

import argparse
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from infra import automations, settings, work_pool
from infra.postgres import PostgresError
from infra.prefect_server import healthy

NO_WORKERS_TIMEOUT = "DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT"
"""For which a task waits where there is no worker; Dask reads it."""
NAMES = ("prefect", "mlflow", "dask", "dask-workers", "worker")
DEFAULTS: Mapping[str, str] = {
    "PREFECT_API_URL": f"http://{settings.LOOPBACK}:4200/api",
    "MLFLOW_TRACKING_URI": f"http://{settings.LOOPBACK}:5000",
    "LMLE_DASK_ADDRESS": f"tcp://{settings.LOOPBACK}:8786",
    "LMLE_DASK_DASHBOARD": f"http://{settings.LOOPBACK}:8787",
    "LMLE_HOST": settings.LOOPBACK,
    "LMLE_DASK_WORKERS": "1",
}


REACHED_AT: Mapping[str, str] = {
    "prefect": "PREFECT_API_URL",
    "mlflow": "MLFLOW_TRACKING_URI",
    "dask": "LMLE_DASK_DASHBOARD",
    "dask-workers": "LMLE_DASK_DASHBOARD",
    "worker": "PREFECT_API_URL",
}
"""The variable that says where each is seen from outside of it."""


def command(name: str) -> tuple[str, ...]:
    """Arguments, after the Python interpreter, that become the service."""
    return ("-m", "infra.service", name)


def answers(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the service works now, seen from outside of it.

    Args:
        name: one of `NAMES`.
        environment: with the variables above.
    """
    at = {**DEFAULTS, **environment}
    match name:
        case "prefect":
            return healthy(f"{at['PREFECT_API_URL']}/health")
        case "mlflow":
            return healthy(f"{at['MLFLOW_TRACKING_URI']}/health")
        case "dask":
            return _listens(at["LMLE_DASK_ADDRESS"]) and healthy(f"{at['LMLE_DASK_DASHBOARD']}/health")
        case "dask-workers":
            return _dask_workers(at["LMLE_DASK_DASHBOARD"]) >= int(at["LMLE_DASK_WORKERS"])
        case _:
            return work_pool.worker_online(at["PREFECT_API_URL"])


def process(name: str, given: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """What the service runs: arguments after the Python interpreter, and variables beside those given.

    Corner cases: addresses of databases hold passwords, and are variables and never arguments, which everybody sees.
    """
    at = {**DEFAULTS, **given}
    workspace, host = settings.workspace_path(Path(at.get("LMLE_WORKSPACE") or "workspace")), at["LMLE_HOST"]
    port = {key: str(urlsplit(at[key]).port) for key in DEFAULTS if "://" in at[key]}
    arguments: tuple[str, ...]
    match name:
        case "prefect":
            arguments = ("prefect", "server", "start", "--host", host, "--port", port["PREFECT_API_URL"])
            variables = {
                **settings.server_environment(workspace, given),
                "PREFECT_API_URL": at["PREFECT_API_URL"],
                "PREFECT_UI_API_URL": at.get("PREFECT_UI_API_URL", at["PREFECT_API_URL"]),
            }
        case "mlflow":
            arguments = ("mlflow", "server", "--host", host, "--port", port["MLFLOW_TRACKING_URI"], "--workers", "1")
            artifacts = str(settings.artifact_root(workspace))
            variables = {
                **settings.QUIET,
                "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri(workspace, given),
                "MLFLOW_ARTIFACTS_DESTINATION": at.get("MLFLOW_ARTIFACTS_DESTINATION", artifacts),
                # The folder and not the server's proxy, so that runs read the same without a server.
                "MLFLOW_DEFAULT_ARTIFACT_ROOT": at.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", artifacts),
            }
        case "dask":
            dashboard = f"{host}:{port['LMLE_DASK_DASHBOARD']}"
            arguments = ("dask", "scheduler", "--host", host, "--port", port["LMLE_DASK_ADDRESS"])
            arguments += ("--dashboard-address", dashboard)
            # A run whose workers are all gone fails, and is gone on from; by default it waits for ever.
            variables = {**settings.QUIET, NO_WORKERS_TIMEOUT: at.get(NO_WORKERS_TIMEOUT, "300s")}
        case "dask-workers":
            arguments = ("dask", "worker", at["LMLE_DASK_ADDRESS"], "--host", host)
            arguments += ("--nworkers", at["LMLE_DASK_WORKERS"], "--nthreads", "1", "--memory-limit", "4GiB")
            arguments += ("--no-dashboard", "--local-directory", str(workspace / "dask"))
            if worker_name := at.get("DASK_WORKER_NAME"):  # of Dask's operator, which retires workers by name
                arguments += ("--name", worker_name)
            variables = {
                **settings.run_environment(workspace),
                **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
                "CUDA_VISIBLE_DEVICES": "",  # a process a core; a GPU is left to the runs, or to `dask cuda worker`
                "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "spawn",
                "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "300s",  # the scheduler may be starting, too
            }
        case _:
            arguments = ("prefect", "worker", "start", "--pool", work_pool.POOL, "--name", work_pool.WORKER)
            variables = {
                **settings.run_environment(workspace),
                **{key: at[key] for key in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "LMLE_DASK_ADDRESS")},
                **automations.HEARTBEAT,
                "LMLE_WORKSPACE": str(workspace),
                "PREFECT_WORKER_QUERY_SECONDS": "3",
                # Deployed runs find this environment's interpreter and commands without an activated shell.
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{at.get('PATH', '')}",
            }
    return ("-m", *arguments), variables


def become(name: str) -> None:
    """Make ready what the service needs, and replace this process by it.

    Raises:
        PostgresError: for databases that cannot be used.
        OSError: for a worker whose Prefect server does not answer.
    """
    arguments, variables = process(name, os.environ)
    if name in ("prefect", "mlflow") and (postgres := settings.postgres()):
        postgres.prepare()
    if name == "worker":
        automations.prepare_server(variables["PREFECT_API_URL"])
        work_pool.forget_worker(variables["PREFECT_API_URL"])
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **variables})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m infra.service", description="Become one of lmle's services.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--check", action="store_true", help="only ask whether it answers")
    given = parser.parse_args(arguments)
    settings.without_proxy()
    if given.check:
        sys.exit(not answers(given.name, os.environ))
    try:
        become(given.name)
    except (PostgresError, OSError) as error:
        parser.exit(1, f"{given.name}: {error}\n")


def _listens(address: str) -> bool:
    at = urlsplit(address)
    try:
        socket.create_connection((at.hostname or "", at.port or 0), timeout=2).close()
    except OSError:
        return False
    return True


def _dask_workers(dashboard: str) -> int:
    try:
        with urllib.request.urlopen(f"{dashboard}/json/counts.json", timeout=2) as response:
            return int(json.load(response)["workers"])
    except (OSError, HTTPException, ValueError, KeyError):
        return 0


if __name__ == "__main__":
    main()
