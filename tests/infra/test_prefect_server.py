"""The child server: it ends with its parent, starts from a template, and says why it did not start."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import prefect_server, settings
from infra.api import call
from infra.prefect_server import Api, ServerError, keep_template, prefect_api, prepare_database, start_api, tail
from tests.infra.busy_server import busy_server

PARENT = """
import sys, time
from pathlib import Path
from infra.prefect_server import start_api
print(start_api(Path(sys.argv[1])).child.pid, flush=True)
time.sleep(600)
"""


def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    gone, alive = psutil.wait_procs([child], timeout=20)
    assert gone and not alive


@pytest.mark.slow
def test_a_child_that_fails_is_reported_with_its_log(tmp_path: Path) -> None:
    database = settings.prefect_database(tmp_path)
    database.parent.mkdir(parents=True)
    database.write_text("this is no database")
    api = start_api(tmp_path)
    assert api.database is None  # not new, so no template is made of it
    with pytest.raises(ServerError, match="Prefect's server ended with code") as error:
        api.wait()
    api.stop()
    assert "file is not a database" in str(error.value)
    assert str(settings.logs(tmp_path)) in str(error.value)


def test_an_api_in_the_environment_is_used_and_must_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(prefect_server, "PATIENCE", 0.2)
    with prefect_api(tmp_path) as api, pytest.raises(ServerError, match="no Prefect API answers at"):
        api.wait()
    assert api.child is None
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:9/api"


def test_an_api_that_is_busy_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    with busy_server(refusals=2) as port:
        Api(f"http://127.0.0.1:{port}/api", tmp_path).wait()


def test_the_session_server_answers_and_shows_no_page(prefect_server: str) -> None:
    with urllib.request.urlopen(f"{prefect_server}/version") as response:
        assert response.status == 200
    assert prefect_server.startswith("http://127.0.0.1:")


def test_a_new_workspace_starts_from_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = tmp_path / "environment" / "template.db"
    monkeypatch.setattr(prefect_server, "template_path", lambda: template)
    first = prepare_database(tmp_path / "first")
    assert first == settings.prefect_database(tmp_path / "first")
    assert not first.exists()
    with contextlib.closing(sqlite3.connect(first)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table migrated (yes)")
        keep_template(first)  # while it is in use, as by a server
    assert prepare_database(tmp_path / "second") is None
    second = settings.prefect_database(tmp_path / "second")
    with contextlib.closing(sqlite3.connect(second)) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("migrated",)]
        connection.execute("create table used (yes)")
    size = template.stat().st_size
    keep_template(second)
    assert template.stat().st_size == size
    template.unlink()  # as in a new environment
    assert prepare_database(tmp_path / "second") is None


def test_tail_shows_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("\n".join(str(i) for i in range(100)))
    assert tail(log, 2) == f"--- {log}\n98\n99"
    assert "no log" in tail(tmp_path / "absent.log")


def test_stopping_what_is_not_ours_does_nothing(tmp_path: Path) -> None:
    Api("http://127.0.0.1:9/api", tmp_path).stop()


def test_what_speaks_no_http_is_not_healthy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def greet() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"\x00\x01 hello\n")

        thread = threading.Thread(target=greet)
        thread.start()
        assert not prefect_server.healthy(f"http://127.0.0.1:{other.getsockname()[1]}/health")
        thread.join()


@pytest.mark.slow
def test_the_lease_of_a_running_deployment_outlives_the_server(tmp_path: Path) -> None:
    """Else a restart of the server ends the weekly retraining that holds its deployment's only slot."""
    limits = "v2/concurrency_limits"
    with running(tmp_path) as url:
        call("POST", f"{url}/{limits}/", {"name": "weekly", "limit": 1})
        lease = call("POST", f"{url}/{limits}/increment-with-lease", {"slots": 1, "names": ["weekly"]})["lease_id"]
    with running(tmp_path) as url:
        call("POST", f"{url}/{limits}/leases/{lease}/renew", {"lease_duration": 300})
        with pytest.raises(urllib.error.HTTPError, match="410"):
            call("POST", f"{url}/{limits}/leases/{uuid.uuid4()}/renew", {"lease_duration": 300})


@contextlib.contextmanager
def running(workspace: Path) -> Iterator[str]:
    """The URL of a server of its own."""
    api = start_api(workspace)
    try:
        api.wait()
        yield api.url
    finally:
        api.stop()


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(prefect_server: str) -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
    check = [sys.executable, "-m", "infra.service", "prefect", "--check"]
    subprocess.run(check, env={**os.environ, **proxies, "PREFECT_API_URL": prefect_server}, check=True)
