"""A run recorded on a real MLflow server, which keeps the files in S3, and its model loaded back from there."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.processes import free_ports
from lmle_core.artefact import Reference
from lmle_core.config import Config, Engines
from tasks.record import recorded
from tasks.tracking import Tracker
from tests.lmle_core.conftest import make_store
from tests.object_store import ObjectStore
from tests.tasks.tiny_run import ATTRIBUTES, DATA, jpeg, make_run

LOAD = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/faces@champion")
print(",".join(model.predict(pd.DataFrame({"image": [open(sys.argv[2], "rb").read()]}))))
"""


class Server(NamedTuple):
    address: str
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, s3_server: ObjectStore) -> Iterator[Server]:
    """An MLflow server on loopback that keeps artifacts in S3 and ends with the test."""
    import boto3

    bucket = boto3.client(
        "s3", endpoint_url=s3_server.endpoint, aws_access_key_id="owner", aws_secret_access_key="owner-secret",
        region_name="us-east-1",
    )  # fmt: skip
    bucket.create_bucket(Bucket="mlflow")
    folder = tmp_path_factory.mktemp("server")
    (port,) = free_ports("127.0.0.1", 1)
    command = (
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", "s3://mlflow/files"),
    )
    environment = {
        **os.environ,
        **s3_server.environment(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    started = Server(f"http://127.0.0.1:{port}", process)
    try:
        deadline = time.monotonic() + 180
        while not healthy(started.address):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            try:
                process.wait(timeout=0.3)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError((folder / "log").read_text())
        yield started
    finally:
        started.end()


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.services
@pytest.mark.slow
def test_a_server_keeps_the_record_and_the_model_once(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_directory = make_run(tmp_path / "run")
    (tmp_path / "summary.json").write_text("{}")
    config = Config()
    counted = []
    for _ in range(2):
        tracker = Tracker.open(Engines(tracking_uri=server.address), tmp_path, "1" * 32, "demo")
        tracker.start(config, DATA, code="c" * 32)
        for number in range(2):
            points = [(number * 10 + step, 0.5) for step in range(10)]
            tracker.round(number, {"spread": 0.5}, {"loss_class": points})
        tracker.register(run_directory, "faces", ATTRIBUTES, jpeg(0))
        scores = {"mean_balanced_accuracy": 0.75, "attributes": {"Bald": {"tpr": 0.5, "tnr": 1.0}}}
        tracker.finish(scores, [tmp_path / "summary.json"])
        client = tracker._client
        runs = client.search_runs([tracker._experiment_id])
        counted.append(
            {
                "runs": sorted(run.info.run_name for run in runs),
                "points": sorted(
                    len(client.get_metric_history(r.info.run_id, k)) for r in runs for k in r.data.metrics
                ),
                "files": [entry.path for entry in client.list_artifacts(tracker.run_id)],
                "versions": [int(version.version) for version in client.search_model_versions("name = 'faces'")],
                "models": len(client.search_logged_models([tracker._experiment_id])),
                "status": client.get_run(tracker.run_id).info.status,
            }
        )
    assert counted[0] == counted[1]
    assert counted[0] == {
        "runs": ["demo", "demo round 0", "demo round 1"],
        "points": [1, 1, 1, 2, 10, 10],
        "files": ["attributes.json", "summary.json"],
        "versions": [1],
        "models": 1,
        "status": "FINISHED",
    }
    assert capfd.readouterr() == ("", "")
    (tmp_path / "face.jpg").write_bytes(jpeg(1))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, server.address, str(tmp_path / "face.jpg")],
        cwd=tmp_path,
        env={**os.environ, "DO_NOT_TRACK": "true", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Bald,Bald_margin,Wearing_Hat,Wearing_Hat_margin"


@pytest.mark.services
@pytest.mark.slow
def test_a_server_that_goes_away_hides_no_error(server: Server, tmp_path: Path) -> None:
    """The last one: it ends the server."""
    store = make_store(tmp_path / "data", images=60)
    config = Config(engines=Engines(tracking_uri=server.address))
    reference = Reference("ingest", str(store.path), store.digest)
    began = 0.0
    with (
        pytest.raises(ValueError, match="an embedding collapsed"),
        recorded("run", reference, config, "c" * 32, tmp_path),
    ):
        server.end()
        began = time.monotonic()
        raise ValueError("an embedding collapsed")
    assert time.monotonic() - began < 30  # MLflow's client would ask for minutes
