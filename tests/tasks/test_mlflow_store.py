"""Where a run is recorded, and that MLflow keeps quiet about it."""

import errno
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from lmle_core.config import Config, Engines
from tasks.champions import Champions, RollbackError
from tasks.gates import check_tracking
from tasks.mlflow_store import (
    MissingError,
    TrackingError,
    answering_uri,
    asking,
    connect,
    own_artifacts,
    own_store,
    shown,
    tracking_uri,
)
from tasks.models import fetch_model, run_of


def test_the_configuration_goes_before_the_environment_before_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(Engines(), tmp_path) == own_store(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(Engines(), tmp_path) == "http://127.0.0.1:5000"
    assert tracking_uri(Engines(tracking_uri="sqlite:////elsewhere.db"), tmp_path) == "sqlite:////elsewhere.db"


def test_the_own_store_is_known_by_a_relative_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///workspace/mlflow.db")
    uri = tracking_uri(Engines(), tmp_path / "workspace")
    assert own_artifacts(uri, tmp_path / "workspace") == tmp_path.resolve() / "workspace" / "mlartifacts"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///mlruns", "/var/mlruns"])
def test_plain_folders_are_refused(uri: str) -> None:
    with pytest.raises(TrackingError, match=r"expected sqlite:///PATH, .*; set engines.tracking_uri"):
        connect(uri)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg://lmle:secret@db:5432/lmle", "postgresql+psycopg://lmle:***@db:5432/lmle"),
        ("cannot reach 'http://a@b:s/ec@ret@db/x', or db", "cannot reach 'http://a@b:***@db/x', or db"),
        ("http://127.0.0.1:5000 has no models:/lmle@champion", "http://127.0.0.1:5000 has no models:/lmle@champion"),
        ("sqlite:////w/mlflow.db", "sqlite:////w/mlflow.db"),
        ("postgresql://lmle@db:5432/lmle", "postgresql://lmle@db:5432/lmle"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:{}", "http://lmle:secret@127.0.0.1:{}", "postgresql+psycopg://lmle:secret@127.0.0.1:{}/lmle"],
)
def test_a_store_that_does_not_answer_is_refused_at_once(address: str, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        uri = address.format(closed.getsockname()[1])
        begun = time.monotonic()
        with pytest.raises(TrackingError, match=r"does not answer at .*(?i:refused).*set another with") as error:
            check_tracking(Config(engines=Engines(tracking_uri=uri)), tmp_path)
    assert time.monotonic() - begun < 10
    assert "secret" not in str(error.value)


def test_no_message_holds_a_password(mlflow_workspace: Path, tmp_path: Path) -> None:
    uri = "oracle://lmle:secret@db/lmle"  # MLflow's own error quotes it
    client = connect(own_store(mlflow_workspace))
    for refused in (
        lambda: connect(uri),
        lambda: run_of("models:/nobody@champion", uri),
        lambda: fetch_model("models:/nobody@champion", uri, tmp_path),
        lambda: Champions(client, uri, "nobody").roll_back(),
    ):
        with pytest.raises((TrackingError, RollbackError), match=r"oracle://lmle:\*\*\*@db/lmle") as error:
            refused()
        assert "secret" not in str(error.value)


@pytest.mark.slow
def test_a_new_store_is_made_without_a_word(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tasks.mlflow_store import connect, own_store;"
        "client = connect(own_store(Path(sys.argv[1]))); client.create_experiment('quiet')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "new")], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "new" / "mlflow.db").is_file()


def test_an_address_that_is_none_is_told_with_its_fault(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"http://lmle:\*\*\*@db:99999: Port out of range"):
        answering_uri(Engines(tracking_uri="http://lmle:secret@db:99999"), tmp_path)


def test_what_is_missing_is_told_from_a_full_disk_and_from_a_server_in_trouble() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    response = requests.Response()
    response.status_code = 404
    gone = requests.HTTPError(response=response)
    for missing in (FileNotFoundError("m"), gone, MlflowException("no such thing", RESOURCE_DOES_NOT_EXIST)):
        with pytest.raises(MissingError, match=r"there is no model \("), asking("there is no model"):
            raise missing
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"), asking("there is no model"):
        raise full
    with pytest.raises(TrackingError, match="MLflow: database is locked") as error, asking("there is no model"):
        raise MlflowException("database is locked")
    assert not isinstance(error.value, MissingError)
