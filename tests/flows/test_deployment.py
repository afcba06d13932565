"""Deployments: prefect.yaml says what the presets say, and the documented sequence works with real processes."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from infra import processes
from infra.services import State
from lmle_core.config import Config, load_config

ROOT = Path(__file__).resolve().parents[2]

TINY = (
    'data.attributes=["Male", "Smiling", "Eyeglasses"]', "data.images=240", "data.height=32", "data.width=32",
    "data.shard=64", "trunk.width=4", "prior.epochs=1", "cluster.size=60", "training.rounds=1", "training.epochs=1",
    "training.batch=64", "training.dimensions=8", "index.clusters_per_class=[1]", "index.neighbours=[0]",
    "evaluation.bootstrap=100", "evaluation.pca=false", "evaluation.bce=false", "evaluation.least_spread=0",
)  # fmt: skip


def _deployments() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}


@pytest.mark.parametrize(
    ("deployment", "preset"), [("demo", "demo"), ("full", "celeba"), ("weekly", "celeba"), ("baselines", "demo")]
)
def test_a_deployment_holds_its_preset(deployment: str, preset: str) -> None:
    assert Config.model_validate(_deployments()[deployment]["parameters"]["config"]) == load_config(preset)


def test_nothing_is_tied_to_a_machine() -> None:
    full = _deployments()["full"]
    assert full["parameters"]["directory"] == "celeba"
    assert full["parameters"] == _deployments()["weekly"]["parameters"]
    assert all(each["work_pool"] == {"name": "lmle"} for each in _deployments().values())
    assert not [word for word in (ROOT / "prefect.yaml").read_text().split() if word.startswith("/")]


def test_retraining_is_scheduled_in_a_time_zone_and_one_at_a_time() -> None:
    """As Prefect reads it: a schedule and a limit of the deployment's own."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.client.schemas.schedules import CronSchedule

    weekly = _deployments()["weekly"]
    (schedule,) = (CronSchedule(**each) for each in weekly["schedules"])
    assert (schedule.cron, schedule.timezone) == ("0 3 * * 0", "UTC")
    limit = ConcurrencyLimitConfig(**weekly["concurrency_limit"])
    assert (limit.limit, limit.collision_strategy.value) == (1, "CANCEL_NEW")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"config": {"trainin": {}}}, r"'trainin' is not one of \['seed', 'data', .*'training'"),
        ({"config": {"training": {"rouns": 2}}}, r"'config.training'.*'rouns' is not one of \['rounds'"),
        ({"config": {"prior": {"kind": "bcee"}}}, r"'config.prior.kind'.*'bcee' is not one of \['bce'"),
        ({"config": {"seed": -1}}, r"'config.seed'.*-1 is less than the minimum of 0"),
        ({"directory": 3}, r"'directory'.*3 is not valid"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    """By the schema alone, as Prefect's server does it before it makes a run."""
    from prefect.utilities.schema_tools.validation import ValidationError, validate

    from flows.lmle import lmle

    with pytest.raises(ValidationError, match=message):
        validate(parameters, lmle.parameters.model_dump(), raise_on_error=True, ignore_required=True)


@dataclass(frozen=True)
class Commands:
    """Commands of a user whose services listen on ports of their own."""

    workspace: Path
    ports: list[int]
    environment: dict[str, str]

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


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Commands in an environment without anything of ours, and no process left at the end."""
    workspace, ports = tmp_path / "workspace", processes.free_ports("127.0.0.1", 4)
    own = ("PREFECT_", "LMLE_", "MLFLOW_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment |= {
        "LMLE_WORKSPACE": str(workspace),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports[0]}/api",
        "PREFECT_HOME": str(tmp_path / "home"),
        "COLUMNS": "500",
    }
    found = Commands(workspace, ports, environment)
    yield found
    found.lmle("down")


@pytest.mark.slow
@pytest.mark.services
def test_the_documented_sequence(commands: Commands) -> None:
    """Up, deploy, a refused run, a run to its end, down: real servers, a real worker, nothing left."""
    options = ("--prefect-port", "--mlflow-port", "--dask-port", "--dashboard-port")
    ports = [text for option, port in zip(options, commands.ports, strict=True) for text in (option, str(port))]
    said = commands.lmle("up", *ports, "--dask-workers", "1")
    assert f"export PREFECT_API_URL=http://127.0.0.1:{commands.ports[0]}/api" in said
    assert commands.lmle("up", *ports, "--dask-workers", "1").count(" up ") == 0  # nothing was missing
    status = commands.lmle("status")
    assert all(name in status for name in ("prefect", "mlflow", "dask", "dask-workers", "worker"))
    state = State.load(commands.workspace)
    assert state is not None

    said = commands.prefect("deploy", "--all")
    assert "lmle/demo" in said
    assert "lmle/full" in said
    assert "predict/batch" in said
    assert "retrain/weekly" in said
    with urllib.request.urlopen(f"{commands.environment['PREFECT_API_URL']}/deployments/name/retrain/weekly") as weekly:
        stored = json.load(weekly)
    (schedule,) = stored["schedules"]
    assert (schedule["active"], schedule["schedule"]["timezone"]) == (True, "UTC")
    assert stored["global_concurrency_limit"]["limit"] == 1
    assert stored["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    refused = commands.prefect("deployment", "run", "lmle/demo", "--param", 'config={"training": {"rouns": 2}}', code=1)
    assert "'rouns' is not one of ['rounds'" in refused

    settings = [text for setting in TINY for text in ("--set", setting)]
    config = commands.lmle("config", *settings, "--json").strip()
    commands.prefect("deployment", "run", "lmle/demo", "--param", f"config={config}", "--watch")

    (summary,) = commands.workspace.glob("runs/*/summary.json")
    assert json.loads(summary.read_text())["data"]["images"] == 240
    log = (commands.workspace / "logs" / "worker.log").read_text()
    assert f"tcp://127.0.0.1:{commands.ports[2]}, 1 workers" in log
    experiment = commands.mlflow("experiments/get-by-name?experiment_name=lmle")["experiment"]
    assert experiment["artifact_location"].endswith(str(commands.workspace / "mlartifacts" / "1"))
    model = commands.mlflow("registered-models/get?name=lmle")["registered_model"]
    assert {alias["alias"] for alias in model["aliases"]} == {"champion", "challenger"}

    commands.prefect(
        *("deployment", "run", "compare/baselines", "--param", f"config={config}", "--param", "seeds=2"),
        *("--param", 'methods=["bce", "logit-adjusted"]', "--param", "study=tiny", "--watch"),
    )
    compared = json.loads((commands.workspace / "comparisons" / "tiny" / "comparison.json").read_text())
    assert compared["reference"] == ["bce", "prior"]
    assert {each["method"] for each in compared["standings"]} == {"bce", "logit-adjusted"}

    faces = next(commands.workspace.glob("stages/synth/*/img_align_celeba"))
    out = commands.workspace / "answers"
    images = ("--param", f"images={faces.parent}", "--param", f"out={out}")
    commands.prefect("deployment", "run", "predict/batch", *images, "--watch")
    answers = pd.read_parquet(out / "predictions").set_index("filename")
    assert len(answers) == 240
    assert answers["error"].isna().all()

    commands.lmle("down")
    assert processes.marked(state.token) == []
    assert all(processes.port_free("127.0.0.1", port) for port in commands.ports)
    assert "no services are up" in commands.lmle("status", code=1)

    # Without the services everything is still there: the run, and the model by its address.
    answer = json.loads(
        commands.lmle("predict", "models:/lmle@champion", str(faces / "000001.jpg"), "--format", "json")
    )
    assert list(answer[0]["attributes"]) == ["Male", "Smiling", "Eyeglasses"]
    for name, one in answer[0]["attributes"].items():
        assert answers.loc["000001.jpg", f"{name}.prediction"] == one["label"]
        assert answers.loc["000001.jpg", f"{name}.margin"] == pytest.approx(one["margin"], abs=1e-3)
