"""The documented sequence: up, deploy, run each deployment, down; real servers, a real worker, nothing left.

The tests are in its order: each needs what the ones before it have left.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

from infra import processes
from infra.api import call
from infra.services import State
from tasks.champions import deciding
from tests.flows.commands import Commands, commands_in, within
from tests.flows.test_retrain import BETTER, IMAGES, NEW, POOR, WORSE, write_faces
from tests.flows.test_retrain import TINY as RETRAINED

pytestmark = [pytest.mark.slow, pytest.mark.services]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands_in(tmp_path_factory.mktemp("services")) as found:
        yield found


@pytest.fixture(scope="module")
def config(commands: Commands) -> str:
    return commands.config()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of faces, which grow."""
    folder = tmp_path_factory.mktemp("celeba")
    write_faces(folder, IMAGES)
    return folder


def faces(commands: Commands) -> Path:
    """The folder of the images that the run drew, before the comparison drew others."""
    return min(commands.workspace.glob("stages/synth/*/img_align_celeba"), key=lambda folder: folder.stat().st_mtime)


def services(commands: Commands) -> State:
    """What `lmle up` has started."""
    found = State.load(commands.workspace)
    assert found is not None
    return found


def kill(commands: Commands, service: str) -> None:
    """A service's process dies."""
    process = services(commands).started[service].find()
    assert process is not None
    process.kill()
    process.wait(60)


def brought_back(commands: Commands) -> list[str]:
    """The services that another `lmle up` starts."""
    return [line.split()[0] for line in commands.up().splitlines() if " up after " in line]


def test_up_starts_what_is_missing(commands: Commands) -> None:
    said = commands.up()
    assert f"export PREFECT_API_URL={commands.api}" in said
    assert " up " not in commands.up()  # nothing was missing
    status = commands.lmle("status")
    assert all(name in status for name in ("prefect", "mlflow", "dask", "dask-workers", "worker"))


def test_up_brings_back_a_server_that_died_and_leaves_the_worker_at_work(commands: Commands) -> None:
    before = services(commands)
    kill(commands, "prefect")
    assert brought_back(commands) == ["prefect"]
    assert services(commands).started["worker"] == before.started["worker"]


def test_the_server_has_every_deployment(commands: Commands) -> None:
    said = commands.prefect("deploy", "--all")
    assert all(
        name in said for name in ("lmle/demo", "lmle/full", "compare/baselines", "predict/batch", "retrain/weekly")
    )
    stored = call("GET", f"{commands.api}/deployments/name/retrain/weekly")
    (schedule,) = stored["schedules"]
    assert (schedule["active"], schedule["schedule"]["timezone"]) == (True, "UTC")
    assert stored["global_concurrency_limit"]["limit"] == 1
    assert stored["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


def test_the_schedule_is_told_where_the_images_are_and_stays_paused(commands: Commands) -> None:
    def weekly() -> tuple[dict[str, Any], dict[str, Any]]:
        stored = call("GET", f"{commands.api}/deployments/name/retrain/weekly")
        (schedule,) = stored["schedules"]
        return stored["parameters"], schedule

    before, schedule = weekly()
    commands.prefect("deployment", "schedule", "pause", "retrain/weekly", schedule["id"])
    told = replace(commands, environment={**commands.environment, "LMLE_DATA": "/data/celeba"})
    told.prefect("deploy", "--name", "weekly")
    after, same = weekly()
    assert (before["directory"], after) == ("", {**before, "directory": "/data/celeba"})
    assert (same["id"], same["active"], same["schedule"]) == (schedule["id"], False, schedule["schedule"])


def test_the_server_refuses_a_wrong_parameter(commands: Commands) -> None:
    refused = commands.prefect("deployment", "run", "lmle/demo", "--param", 'config={"training": {"rouns": 2}}', code=1)
    assert "'rouns' is not one of ['rounds'" in refused


def test_a_deployment_runs_on_the_services(commands: Commands, config: str) -> None:
    commands.prefect("deployment", "run", "lmle/demo", "--param", f"config={config}", "--watch")
    (summary,) = commands.workspace.glob("runs/*/summary.json")
    assert json.loads(summary.read_text())["data"]["images"] == 240
    log = (commands.workspace / "logs" / "worker.log").read_text()
    assert f"tcp://127.0.0.1:{commands.ports[2]}, 1 workers" in log
    experiment = commands.mlflow("experiments/get-by-name?experiment_name=lmle")["experiment"]
    assert experiment["artifact_location"].endswith(str(commands.workspace / "mlartifacts" / "1"))
    model = commands.mlflow("registered-models/get?name=lmle")["registered_model"]
    assert {alias["alias"] for alias in model["aliases"]} == {"champion", "challenger"}


def test_methods_are_compared_by_a_deployment(commands: Commands, config: str) -> None:
    commands.prefect(
        *("deployment", "run", "compare/baselines", "--param", f"config={config}", "--param", "seeds=2"),
        *("--param", 'methods=["bce", "logit-adjusted"]', "--param", "study=tiny", "--watch"),
    )
    compared = json.loads((commands.workspace / "comparisons" / "tiny" / "comparison.json").read_text())
    assert compared["reference"] == ["bce", "prior"]
    assert {each["method"] for each in compared["standings"]} == {"bce", "logit-adjusted"}


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="install chromium to see MLflow's pages")
def test_a_browser_shows_trainings_side_by_side_and_fast(commands: Commands, tmp_path: Path) -> None:
    home = commands.mlflow("experiments/get-by-name?experiment_name=lmle-comparisons")["experiment"]["experiment_id"]
    server = f"http://127.0.0.1:{commands.ports[1]}"
    found = call("POST", f"{server}/api/2.0/mlflow/runs/search", {"experiment_ids": [home]})["runs"]
    names = {run["info"]["run_id"]: run["info"]["run_name"] for run in found if " seed " in run["info"]["run_name"]}
    assert len(names) == 4
    chosen, homes = (quote(json.dumps(each)) for each in (list(names), [home]))
    begun = time.monotonic()
    ended = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom",
         "--virtual-time-budget=30000", f"{server}/#/compare-runs?runs={chosen}&experiments={homes}"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert time.monotonic() - begun < 60
    for text in (*names.values(), "balanced_accuracy", "logit-adjusted"):
        assert text in ended.stdout


def test_a_folder_is_classified_by_a_deployment(commands: Commands) -> None:
    where = ("--param", f"images={faces(commands).parent}", "--param", f"out={commands.workspace / 'answers'}")
    commands.prefect("deployment", "run", "predict/batch", *where, "--watch")
    answers = pd.read_parquet(commands.workspace / "answers" / "predictions")
    assert len(answers) == 240
    assert answers["error"].isna().all()


def retraining(commands: Commands, data: Path, *settings: str) -> str:
    """Starts a run of retrain/weekly."""
    config = commands.config(*RETRAINED, *settings, 'engines.model="weekly"')
    stored = call("GET", f"{commands.api}/deployments/name/retrain/weekly")
    told = {"parameters": {"config": json.loads(config), "directory": str(data)}}
    return str(call("POST", f"{commands.api}/deployments/{stored['id']}/create_flow_run", told)["id"])


def state(commands: Commands, run: str) -> str:
    return str(call("GET", f"{commands.api}/flow_runs/{run}")["state"]["name"])


def ended(commands: Commands, run: str) -> str:
    """The state in which a run ends."""
    within(180, lambda: state(commands, run) in ("Completed", "Failed", "Crashed", "Cancelled"))
    return state(commands, run)


def promotion(commands: Commands, version: int) -> tuple[str, dict[str, str]]:
    """What became of a version, and the aliases of its model."""
    found = commands.mlflow(f"model-versions/get?name=weekly&version={version}")["model_version"]
    model = commands.mlflow("registered-models/get?name=weekly")["registered_model"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    return tags["lmle.promotion"], {alias["alias"]: alias["version"] for alias in model["aliases"]}


def test_a_worse_challenger_is_refused_by_the_weekly_deployment(commands: Commands, data: Path) -> None:
    for settings in (POOR, WORSE):
        assert ended(commands, retraining(commands, data, *settings)) == "Completed"
    assert promotion(commands, 1) == ("first", {"champion": "1", "challenger": "2"})
    assert promotion(commands, 2)[0] == "refused"


def test_a_better_one_is_promoted_though_another_fell_due_and_the_worker_was_killed(
    commands: Commands, data: Path
) -> None:
    write_faces(data, IMAGES + NEW)
    log = commands.workspace / "logs" / "worker.log"
    said = len(log.read_text())
    with deciding(commands.workspace):
        better = retraining(commands, data, *BETTER)
        assert within(180, lambda: "waits for another run that decides" in log.read_text()[said:])
        due = retraining(commands, data, *BETTER)
        assert within(120, lambda: state(commands, due) == "Cancelled")
        assert state(commands, better) == "Running"
        kill(commands, "worker")
        assert brought_back(commands) == ["worker"]
        assert state(commands, better) == "Crashed"
    commands.prefect("flow-run", "retry", better)
    assert ended(commands, better) == "Completed"
    assert promotion(commands, 3) == ("promoted", {"champion": "3", "challenger": "3"})


def test_down_leaves_no_process_and_every_result(commands: Commands) -> None:
    """The run is there without the services, and its model by the address it had."""
    token = services(commands).token
    commands.lmle("down")
    assert processes.marked(token) == []
    assert all(processes.port_free("127.0.0.1", port) for port in commands.ports)
    assert "no services are up" in commands.lmle("status", code=1)

    face = str(faces(commands) / "000001.jpg")
    (answer,) = json.loads(commands.lmle("predict", "models:/lmle@champion", face, "--format", "json"))
    assert list(answer["attributes"]) == ["Male", "Smiling", "Eyeglasses"]
    table = pd.read_parquet(commands.workspace / "answers" / "predictions").set_index("filename")
    for name, one in answer["attributes"].items():
        assert table.loc["000001.jpg", f"{name}.prediction"] == one["label"]
        assert table.loc["000001.jpg", f"{name}.margin"] == pytest.approx(one["margin"], abs=1e-3)
