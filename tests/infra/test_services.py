"""What `up`, `down` and `status` do before, and instead of, starting anything; the real thing is a story of its own."""

import json
import os
import socket
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra import processes, services
from infra.api import call
from infra.catalogue import Addresses, Ports
from infra.catalogue import services as catalogue
from infra.postgres import Postgres
from infra.prefect_server import ServerError
from infra.service import process
from infra.services import PortInUseError, State
from infra.work_pool import POOL, ensure_pool, forget_worker
from tests.infra.busy_server import busy_server


@pytest.mark.parametrize(
    ("index", "option"), [(0, "--prefect-port"), (1, "--mlflow-port"), (2, "--dask-port"), (3, "--dashboard-port")]
)
def test_a_port_in_use_is_refused_with_the_option_that_changes_it(tmp_path: Path, index: int, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = processes.free_ports("127.0.0.1", 4)
        ports[index] = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"port {ports[index]}, .* is in use; .*{option}"):
            services.up(tmp_path, Ports(*ports))
    assert services.status(tmp_path) == [] or all(line.state == "ended" for line in services.status(tmp_path))
    assert not (tmp_path / "logs").exists()


def test_nothing_is_up_in_a_new_workspace(tmp_path: Path) -> None:
    assert services.status(tmp_path) == []
    assert (services.running(tmp_path), services.postgres_of(tmp_path)) == ({}, "")
    assert services.down(tmp_path) == 0


def test_services_that_the_environment_names_are_looked_at_where_none_was_started(
    tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container."""
    forget_worker(prefect_server)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    found = {line.name: line.state for line in services.elsewhere(tmp_path)}
    assert found == {"prefect": "up", "worker": "does not answer"}


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "services.json").write_text('{"token": "x"')
    with pytest.raises(ServerError, match=r"services\.json is damaged"):
        services.status(tmp_path)


def test_state_survives_the_file(tmp_path: Path) -> None:
    state = State("token", Ports(1, 2, 3, 4), 2, "postgresql://db/lmle", {"prefect": processes.Detached(17, 12.5)})
    state.save(tmp_path)
    assert State.load(tmp_path) == state
    assert json.loads((tmp_path / "services.json").read_text())["ports"]["dashboard"] == 4


def test_processes_of_an_earlier_start_of_the_machine_are_not_looked_for(tmp_path: Path) -> None:
    State("token", Ports(), 2, started={"prefect": processes.Detached(1, 0.0)}, boot="an earlier one").save(tmp_path)
    loaded = State.load(tmp_path)
    assert loaded is not None and (loaded.started, loaded.boot) == ({}, processes.boot())


def test_records_on_postgresql_are_not_forgotten(tmp_path: Path) -> None:
    State("token", Ports(), 2, "postgresql://ann@db/lmle").save(tmp_path)
    with pytest.raises(ServerError, match=r"keep their records in postgresql://ann@db/lmle: give it.*LMLE_POSTGRES"):
        services.up(tmp_path, Ports())
    assert not (tmp_path / "prefect").exists()
    assert services.down(tmp_path) == 0  # which is how they are given up
    assert State.load(tmp_path) is None


def test_what_a_killed_server_has_left_on_its_port_is_ended_and_a_strangers_is_not(tmp_path: Path) -> None:
    (port, other) = processes.free_ports("127.0.0.1", 2)
    state = State(uuid.uuid4().hex, Ports(mlflow=port, prefect=other), 1)
    listen = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
    ours, strangers = (
        processes.start([sys.executable, "-c", listen, str(at)], {**os.environ, processes.TOKEN: token}, tmp_path / "l")
        for at, token in ((port, state.token), (other, "another's"))
    )
    try:
        while processes.port_free("127.0.0.1", port) or processes.port_free("127.0.0.1", other):
            time.sleep(0.1)
        services._end_orphans(list(state.services(tmp_path)), state)
        assert (ours.find(), processes.port_free("127.0.0.1", port)) == (None, True)
        assert strangers.find() is not None
    finally:
        for each in (ours, strangers):
            processes.stop(each, grace=5)


def test_a_run_uses_each_service_that_is_up(tmp_path: Path) -> None:
    living = processes.start([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, tmp_path / "log")
    with busy_server(refusals=1) as port:
        try:
            State("token", Ports(mlflow=port), 1, started={"mlflow": living}).save(tmp_path)
            assert services.running(tmp_path) == {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        finally:
            processes.stop(living, grace=5)
    assert services.running(tmp_path) == {}


def test_other_ports_are_refused_while_services_live(tmp_path: Path) -> None:
    living = processes.start([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, tmp_path / "log")
    try:
        State("token", Ports(1, 2, 3, 4), 2, started={"prefect": living}).save(tmp_path)
        with pytest.raises(ServerError, match=r"--prefect-port 1 .*`lmle down` first"):
            services.up(tmp_path, Ports())
        with pytest.raises(ServerError, match=r"--dask-workers 2: `lmle down` first"):
            services.up(tmp_path, Ports(1, 2, 3, 4), dask_workers=3)
        assert [line.state for line in services.status(tmp_path)] == ["does not answer"] + ["ended"] * 4
        State("token", Ports(), 2, "postgresql://ann@db/lmle", {"prefect": living}).save(tmp_path)
        with pytest.raises(ServerError, match=r"--postgres postgresql://ann@db/lmle: `lmle down` first"):
            services.up(tmp_path, Ports())
    finally:
        assert services.down(tmp_path, say=lambda _: None) == 1
    assert living.find() is None
    assert not (tmp_path / "services.json").exists()


def test_a_live_service_that_is_slow_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    living = processes.start([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, tmp_path / "log")
    with busy_server(refusals=3) as port:
        prefect = catalogue(tmp_path, Ports(prefect=port), 1)[0]
        state = State("token", Ports(prefect=port), 1, started={"prefect": living})
        try:
            with monkeypatch.context() as patch:
                patch.setattr(services, "PATIENCE", 0.0)
                assert not services._works(prefect, state)
            assert services._works(prefect, state)
        finally:
            processes.stop(living, grace=5)
        assert not services._works(prefect, state)  # what answers now is another's


def test_a_run_that_outlives_its_worker_is_ended_before_it_is_closed(prefect_server: str, tmp_path: Path) -> None:
    ensure_pool(prefect_server)
    flow = call("POST", f"{prefect_server}/flows/", {"name": "orphan"})
    deployment = {"name": "d", "flow_id": flow["id"], "work_pool_name": POOL, "entrypoint": "x.py:x"}
    deployment = call("POST", f"{prefect_server}/deployments/", deployment)
    create = f"{prefect_server}/deployments/{deployment['id']}/create_flow_run"
    run = call("POST", create, {"state": {"type": "RUNNING"}, "name": "orphan"})

    state = State(uuid.uuid4().hex, Ports(prefect=urlsplit(prefect_server).port or 0), 1)
    environment = {**os.environ, processes.TOKEN: state.token}
    service, orphan = (
        processes.start([sys.executable, "-c", "import time; time.sleep(600)"], environment, tmp_path / "log")
        for _ in range(2)
    )
    state.started["prefect"] = service
    try:
        assert services._close_runs(state) == ["orphan"]
        assert orphan.find() is None
        assert service.find() is not None
        assert call("GET", f"{prefect_server}/flow_runs/{run['id']}")["state"]["name"] == "Crashed"
    finally:
        for each in (orphan, service):
            processes.stop(each, grace=5)


def test_everything_is_on_loopback_and_in_the_workspace(tmp_path: Path) -> None:
    at = Addresses.of(Ports())
    assert at.environment() == {
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
        "LMLE_DASK_ADDRESS": "tcp://127.0.0.1:8786",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    }
    for each in catalogue(tmp_path, Ports(), 2):
        assert "127.0.0.1" in each.url
        arguments, variables = process(each.name, each.environment)
        assert "0.0.0.0" not in " ".join(arguments)
        assert str(tmp_path) in " ".join((*arguments, *variables.values())) or each.name == "dask"
    worker = catalogue(tmp_path, Ports(), 2)[-1]
    _, variables = process("worker", worker.environment)
    assert variables.items() >= {**at.environment(), "LMLE_WORKSPACE": str(tmp_path)}.items()


def test_a_password_is_in_no_file_and_no_argument(tmp_path: Path) -> None:
    postgres = Postgres.parse("postgresql://ann:secret@127.0.0.1:9/lmle")
    State("token", Ports(), 2, str(postgres)).save(tmp_path)
    assert "secret" not in (tmp_path / "services.json").read_text()
    line = services.status(tmp_path)[0]
    assert (line.name, line.url, line.state) == ("postgresql", "postgresql://ann@127.0.0.1:9/lmle", "does not answer")
    for each in catalogue(tmp_path, Ports(), 2, postgres.address):
        arguments, variables = process(each.name, each.environment)
        assert "secret" not in " ".join((*each.command, *arguments))
        assert ("secret" in " ".join(variables.values())) == (each.name in ("prefect", "mlflow"))
