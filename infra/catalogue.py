"""What the services are: their ports and addresses, the command that starts each, and how one sees that it works."""

import json
import os
import socket
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra import settings, work_pool
from infra.prefect_server import healthy


@dataclass(frozen=True)
class Ports:
    """Where the services listen, on loopback."""

    prefect: int = 4200
    mlflow: int = 5000
    dask: int = 8786
    dashboard: int = 8787

    def __str__(self) -> str:
        """As options of `lmle up`."""
        return " ".join(f"--{name}-port {port}" for name, port in vars(self).items())


@dataclass(frozen=True)
class Addresses:
    """What users and flows reach the services by."""

    prefect: str
    mlflow: str
    dask: str
    dashboard: str

    @classmethod
    def of(cls, ports: Ports) -> "Addresses":
        """The addresses that belong to the ports."""
        web = f"http://{settings.LOOPBACK}"
        return cls(
            prefect=f"{web}:{ports.prefect}",
            mlflow=f"{web}:{ports.mlflow}",
            dask=f"tcp://{settings.LOOPBACK}:{ports.dask}",
            dashboard=f"{web}:{ports.dashboard}",
        )

    @property
    def api(self) -> str:
        """Prefect's API."""
        return f"{self.prefect}/api"

    def environment(self) -> dict[str, str]:
        """Variables by which flows use the services."""
        return {"PREFECT_API_URL": self.api, "MLFLOW_TRACKING_URI": self.mlflow, "LMLE_DASK_ADDRESS": self.dask}


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        name: as `lmle status` shows it.
        url: what a person opens or a client connects to.
        command: arguments of its process, after the Python interpreter.
        environment: variables of its process, beside the caller's.
        answers: whether it works now.
        ports: option of `lmle up` and number of each port that it listens on.
        grace: seconds between SIGTERM and SIGKILL.
    """

    name: str
    url: str
    command: tuple[str, ...]
    environment: dict[str, str]
    answers: Callable[[], bool]
    ports: tuple[tuple[str, int], ...] = ()
    grace: float = 10.0


def services(workspace: Path, ports: Ports, dask_workers: int) -> tuple[Service, ...]:
    """The services of a workspace, in the order in which they start; they end in the reverse one.

    Args:
        workspace: absolute; whose databases and artifacts they serve.
        ports: to listen on.
        dask_workers: processes of one thread.
    """
    host, at = settings.LOOPBACK, Addresses.of(ports)
    artifacts = str(settings.artifact_root(workspace))
    single_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    prefect = Service(
        name="prefect",
        url=at.prefect,
        command=("-m", "prefect", "server", "start", "--host", host, "--port", str(ports.prefect)),
        environment={
            **settings.server_environment(workspace),
            "PREFECT_API_URL": at.api,
            "PREFECT_UI_API_URL": at.api,
        },
        answers=lambda: healthy(f"{at.api}/health"),
        ports=(("--prefect-port", ports.prefect),),
    )
    mlflow = Service(
        name="mlflow",
        url=at.mlflow,
        command=(
            *("-m", "mlflow", "server", "--host", host, "--port", str(ports.mlflow), "--workers", "1"),
            *("--backend-store-uri", settings.tracking_uri(workspace), "--serve-artifacts"),
            # The default root is the folder and not the server's proxy, so that runs read the same without a server.
            *("--artifacts-destination", artifacts, "--default-artifact-root", artifacts),
        ),
        environment=dict(settings.QUIET),
        answers=lambda: healthy(f"{at.mlflow}/health"),
        ports=(("--mlflow-port", ports.mlflow),),
    )
    dask = Service(
        name="dask",
        url=at.dask,
        command=(
            *("-m", "dask", "scheduler", "--host", host, "--port", str(ports.dask)),
            *("--dashboard-address", f"{host}:{ports.dashboard}"),
        ),
        environment=dict(settings.QUIET),
        answers=lambda: _listens(ports.dask) and healthy(f"{at.dashboard}/health"),
        ports=(("--dask-port", ports.dask), ("--dashboard-port", ports.dashboard)),
    )
    workers = Service(
        name="dask-workers",
        url=f"{at.dashboard}/status",
        command=(
            *("-m", "dask", "worker", at.dask, "--host", host, "--nworkers", str(dask_workers), "--nthreads", "1"),
            *("--memory-limit", "4GiB", "--no-dashboard", "--local-directory", str(workspace / "dask")),
        ),
        environment={
            **settings.run_environment(workspace),
            **single_thread,
            "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "spawn",
        },
        answers=lambda: _dask_workers(at.dashboard) >= dask_workers,
    )
    worker = Service(
        name="worker",
        url=f"{at.prefect}/work-pools/work-pool/{work_pool.POOL}",
        command=("-m", "prefect", "worker", "start", "--pool", work_pool.POOL, "--name", work_pool.WORKER),
        environment={
            **settings.run_environment(workspace),
            **at.environment(),
            "LMLE_WORKSPACE": str(workspace),
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            # Deployed runs find this environment's interpreter and commands without an activated shell.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        },
        answers=lambda: work_pool.worker_online(at.api),
        grace=3.0,  # it would wait for the run to finish, which `down` does not
    )
    return prefect, mlflow, dask, workers, worker


def _listens(port: int) -> bool:
    try:
        socket.create_connection((settings.LOOPBACK, port), timeout=2).close()
    except OSError:
        return False
    return True


def _dask_workers(dashboard: str) -> int:
    try:
        with urllib.request.urlopen(f"{dashboard}/json/counts.json", timeout=2) as response:
            return int(json.load(response)["workers"])
    except (OSError, ValueError, KeyError):
        return 0
