"""The containers of compose.yaml on a real Docker daemon: a deployment runs in them, and what dies comes back.

They are built and started where TEST_CONTAINERS is set: the image holds CUDA and is large.
"""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from infra.processes import free_ports

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "data": {"images": 600, "height": 24, "width": 24},
    "prior": {"epochs": 1},
    "training": {"rounds": 1, "epochs": 1},
    "cluster": {"size": 100},
    "evaluation": {"bootstrap": 100, "least_spread": 0},
}
KILL = "import psutil; [child.kill() for child in psutil.Process(1).children()]"

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(3600)]


class Stack:
    """The services, in a project, on ports and with volumes of their own."""

    def __init__(self) -> None:
        prefect, mlflow_port, dashboard = free_ports("127.0.0.1", 3)
        self.mlflow = f"http://127.0.0.1:{mlflow_port}"
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": f"lmle-{uuid.uuid4().hex[:8]}",
            "POSTGRES_PASSWORD": uuid.uuid4().hex,
            "LMLE_PREFECT_PORT": str(prefect),
            "LMLE_MLFLOW_PORT": str(mlflow_port),
            "LMLE_DASHBOARD_PORT": str(dashboard),
        }

    def __call__(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """What docker compose prints; its exit code is one of those given."""
        command = ["docker", "compose", "--file", str(ROOT / "infra" / "compose.yaml"), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self("exec", "-T", service, *command)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if not os.environ.get("TEST_CONTAINERS"):
        pytest.skip("needs TEST_CONTAINERS=1, and Docker with its compose and buildx")
    stack = Stack()
    try:
        stack("up", "--detach", "--build", "--wait")
        yield stack
    finally:
        stack("down", "--volumes")


def test_a_deployment_runs_and_its_files_are_at_mlflow(stack: Stack) -> None:
    stack.inside("worker", "prefect", "deploy", "--all")
    parameters = json.dumps({"config": SMALL})
    run = stack.inside("worker", "prefect", "deployment", "run", "lmle/demo", "--params", parameters, "--watch")
    assert "Completed" in run, run
    client = mlflow.MlflowClient(stack.mlflow)
    experiment = client.get_experiment_by_name("lmle")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (found,) = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    assert found.info.status == "FINISHED"
    assert "report.html" in [each.path for each in client.list_artifacts(found.info.run_id)]


@pytest.mark.parametrize("service", ["prefect", "mlflow", "dask-workers", "worker"])
def test_what_dies_comes_back_with_what_it_knew(stack: Stack, service: str) -> None:
    before = stack.inside(service, "stat", "--format", "%Y", "/proc/1")
    stack("exec", "-T", service, "python", "-c", KILL, codes=(0, 137))  # 137: killed with it
    stack("up", "--detach", "--wait")
    assert stack.inside(service, "stat", "--format", "%Y", "/proc/1") != before
    assert "lmle/demo" in stack.inside("worker", "prefect", "deployment", "ls")
    assert mlflow.MlflowClient(stack.mlflow).get_experiment_by_name("lmle") is not None


def test_tables_of_an_earlier_mlflow_are_brought_up_to_date_in_the_image(stack: Stack) -> None:
    stack("run", "--rm", "-T", "--entrypoint", "python", "mlflow", "-m", "infra.migration")
