"""The services on a real PostgreSQL server: records, a run that is killed with its worker, and nothing left behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from psycopg import sql

from infra import processes
from infra.api import call
from infra.postgres import UNICODE, Postgres
from infra.prefect_server import prefect_api
from infra.services import State
from infra.work_pool import POOL
from tests.flows.commands import TINY, Commands, commands_in
from tests.infra.postgres_server import admin, own_databases

SILENCE = 35  # seconds; heartbeats come every 30


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    yield from own_databases()


@pytest.fixture
def commands(postgres: Postgres, tmp_path: Path) -> Iterator[Commands]:
    with commands_in(tmp_path, LMLE_POSTGRES=postgres.address) as found:
        yield found


def _wait(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def restored(postgres: Postgres, folder: Path) -> None:
    """Back up both databases, and restore them into empty ones, by the commands of docs/operations.md."""
    url = postgres.url
    known = {
        "HOST": url.query.get("host") or url.host,
        "PORT": url.port,
        "USER": url.username,
        "PASSWORD": url.password,
    }
    environment = {**os.environ, **{f"PG{name}": str(value) for name, value in known.items() if value}}
    for part in ("prefect", "mlflow"):
        name, dump = f"{url.database}_{part}", f"{part}.dump"

        def run(*words: str) -> None:
            subprocess.run(words, check=True, cwd=folder, env=environment, capture_output=True, timeout=120)

        run("pg_dump", "--format=custom", f"--file={dump}", name)
        with admin(postgres) as connection:
            for statement in ("drop database {}", f"create database {{}} {UNICODE}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        run("pg_restore", "--no-owner", "--single-transaction", f"--dbname={name}", dump)


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.postgres
@pytest.mark.timeout(1800)
def test_a_killed_run_frees_its_slot_and_everything_is_on_the_server(
    commands: Commands, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.up()
    assert str(postgres) in commands.lmle("status")
    state = State.load(commands.workspace)
    assert state is not None
    api = commands.api
    for _ in range(2):  # as for a server elsewhere; told twice, there is one
        prepare = [sys.executable, "-m", "infra.automations", api, "--after", str(SILENCE)]
        subprocess.run(prepare, check=True, env=commands.environment)
    (automation,) = call("POST", f"{api}/automations/filter", {})
    assert automation["trigger"]["within"] == SILENCE

    settings = [text for setting in TINY for text in ("--set", setting)]
    commands.prefect("deploy", "--name", "demo")
    deployment = call("GET", f"{api}/deployments/name/lmle/demo")
    create = f"{api}/deployments/{deployment['id']}/create_flow_run"
    parameters = {"state": {"type": "SCHEDULED"}, "parameters": {"config": json.loads(commands.config())}}

    def state_of(run: str) -> str:
        return str(call("GET", f"{api}/flow_runs/{run}")["state"]["name"])

    def startable() -> list[str]:
        """Runs that the pool would hand to a worker now."""
        found = call("POST", f"{api}/work_pools/{POOL}/get_scheduled_flow_runs", {})
        return [each["flow_run"]["id"] for each in found]

    first = call("POST", create, parameters)["id"]
    heartbeats = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
    _wait(lambda: call("POST", f"{api}/events/filter", heartbeats)["total"] > 0, 600)
    second = call("POST", create, parameters)["id"]
    worker = state.started["worker"].find()
    assert worker is not None
    for each in [*worker.children(recursive=True), worker]:
        each.kill()
    psutil.wait_procs([worker], 10)
    assert state_of(first) == "Running"
    assert startable() == []  # nobody noticed yet: the slot is held

    said = commands.lmle("run", *settings)  # beside the services, and while the silence lasts
    assert f"MLflow  http://127.0.0.1:{commands.ports[1]}" in said
    told = {name: value for name, value in commands.environment.items() if name != "LMLE_POSTGRES"}
    elsewhere = replace(commands, environment=told)  # as after `lmle up --postgres URL`: the services know it alone
    assert elsewhere.lmle("champions").rstrip().endswith("champion")
    face = str(next(commands.workspace.glob("stages/synth/*/img_align_celeba/*.jpg")))
    assert "Smiling" in elsewhere.lmle("predict", "models:/lmle@champion", face)
    assert "replaced no other champion" in elsewhere.lmle("rollback", code=2)
    _wait(lambda: state_of(first) == "Crashed", 300)
    assert "No heartbeat for 35 s" in call("GET", f"{api}/flow_runs/{first}")["state"]["message"]
    assert startable() == [second]
    assert commands.mlflow("registered-models/get?name=lmle")["registered_model"]["latest_versions"]

    commands.lmle("down")
    assert processes.marked(state.token) == []
    assert not list(commands.workspace.rglob("*.db"))
    with admin(postgres) as connection:
        query = "select count(*) from pg_stat_activity where datname like %s"
        _wait(lambda: connection.execute(query, [f"{postgres.url.database}%"]).fetchone() == (0,), 60)

    restored(postgres, commands.workspace)
    # `lmle run` without servers sees the same records.
    monkeypatch.setenv("LMLE_POSTGRES", postgres.address)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with prefect_api(commands.workspace) as own:
        own.wait(600)
        found = call("POST", f"{own.url}/flow_runs/filter", {})
        assert {each["id"] for each in found} >= {first, second}
    assert commands.lmle("champions").rstrip().endswith("champion")
