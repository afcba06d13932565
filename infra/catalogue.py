"""What the services of a workspace are: their ports and addresses, and the variables that describe each."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from infra import service, settings, work_pool
from infra.automations import HEARTBEAT


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

    def environment(self, up: Collection[str] = service.NAMES) -> dict[str, str]:
        """Variables by which flows use those services that are up; a scheduler without workers is of no use."""
        variables: dict[str, str] = {}
        if "prefect" in up:
            variables |= {"PREFECT_API_URL": self.api, **HEARTBEAT}
        if "mlflow" in up:
            variables["MLFLOW_TRACKING_URI"] = self.mlflow
        if {"dask", "dask-workers"} <= set(up):
            variables["LMLE_DASK_ADDRESS"] = self.dask
        return variables


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        name: as `lmle status` shows it.
        url: what a person opens or a client connects to.
        environment: the variables that describe it (see `infra.service`).
        ports: option of `lmle up` and number of each port that it listens on.
        grace: seconds between SIGTERM and SIGKILL.
    """

    name: str
    url: str
    environment: dict[str, str]
    ports: tuple[tuple[str, int], ...] = ()
    grace: float = 10.0

    @property
    def command(self) -> tuple[str, ...]:
        """Arguments of its process, after the Python interpreter."""
        return service.command(self.name)

    def answers(self) -> bool:
        """Whether it works now."""
        return service.answers(self.name, self.environment)


def services(workspace: Path, ports: Ports, dask_workers: int, postgres: str = "") -> tuple[Service, ...]:
    """The services of a workspace, in the order in which they start; they end in the reverse one.

    Args:
        workspace: absolute; whose artifacts they serve.
        ports: to listen on.
        dask_workers: processes of one thread.
        postgres: address of the PostgreSQL server with their databases; empty: SQLite in the workspace.
    """
    at = Addresses.of(ports)
    here = {
        **at.environment(),
        "LMLE_DASK_DASHBOARD": at.dashboard,
        "LMLE_DASK_WORKERS": str(dask_workers),
        "LMLE_HOST": settings.LOOPBACK,
        "LMLE_WORKSPACE": str(workspace),
    }
    stores = {**here, "LMLE_POSTGRES": postgres}
    return (
        Service("prefect", at.prefect, stores, (("--prefect-port", ports.prefect),)),
        Service("mlflow", at.mlflow, stores, (("--mlflow-port", ports.mlflow),)),
        Service("dask", at.dask, here, (("--dask-port", ports.dask), ("--dashboard-port", ports.dashboard))),
        Service("dask-workers", f"{at.dashboard}/status", here),
        # It would wait for its run to finish, which `down` does not.
        Service("worker", f"{at.prefect}/work-pools/work-pool/{work_pool.POOL}", here, grace=3.0),
    )
