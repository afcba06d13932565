"""The commands of a user whose services listen on ports of their own, and settings under which a run takes seconds."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import processes

ROOT = Path(__file__).resolve().parents[2]
PORTS = ("--prefect-port", "--mlflow-port", "--dask-port", "--dashboard-port")

TINY = (
    'data.attributes=["Male", "Smiling", "Eyeglasses"]', "data.images=240", "data.height=32", "data.width=32",
    "data.shard=64", "trunk.width=4", "prior.epochs=1", "cluster.size=60", "training.rounds=1", "training.epochs=1",
    "training.batch=64", "training.dimensions=8", "index.clusters_per_class=[1]", "index.neighbours=[0]",
    "evaluation.bootstrap=100", "evaluation.pca=false", "evaluation.bce=false", "evaluation.least_spread=0",
)  # fmt: skip


@dataclass(frozen=True)
class Commands:
    """Commands in a workspace, a home of Prefect and on ports that are nobody else's."""

    workspace: Path
    ports: list[int]
    environment: dict[str, str]

    @property
    def api(self) -> str:
        """Prefect's, as the commands are told."""
        return self.environment["PREFECT_API_URL"]

    def up(self) -> str:
        """`lmle up`, with one Dask worker."""
        ports = [word for option, port in zip(PORTS, self.ports, strict=True) for word in (option, str(port))]
        return self.lmle("up", *ports, "--dask-workers", "1")

    def config(self, *settings: str) -> str:
        """Settings, or TINY, as a parameter of a deployment."""
        words = (word for setting in settings or TINY for word in ("--set", setting))
        return self.lmle("config", *words, "--json").strip()

    def lmle(self, *arguments: str, code: int = 0) -> str:
        """An `lmle` command, which must end with the code; returns what it printed."""
        return self._call([sys.executable, "-m", "flows.cli", *arguments], code)

    def prefect(self, *arguments: str, code: int = 0) -> str:
        """Likewise for `prefect`; long lines are not wrapped."""
        return self._call([sys.executable, "-m", "prefect", *arguments], code)

    def mlflow(self, path: str) -> Any:
        """An answer of MLflow's REST API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}/api/2.0/mlflow/{path}") as response:
            return json.loads(response.read())

    def _call(self, command: list[str], code: int) -> str:
        ended = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert ended.returncode == code, f"{command}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout + ended.stderr


def within(seconds: float, what: Callable[[], bool]) -> bool:
    """Whether something comes true in a time."""
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@contextmanager
def commands_in(folder: Path, **variables: str) -> Iterator[Commands]:
    """Commands in an environment without anything of ours but these variables, and no process left at the end."""
    ports = processes.free_ports("127.0.0.1", 4)
    own = ("PREFECT_", "LMLE_", "MLFLOW_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment |= {
        "LMLE_WORKSPACE": str(folder / "workspace"),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports[0]}/api",
        "PREFECT_HOME": str(folder / "home"),
        "COLUMNS": "500",
    }
    commands = Commands(folder / "workspace", ports, environment | variables)
    try:
        yield commands
    finally:
        commands.lmle("down")
