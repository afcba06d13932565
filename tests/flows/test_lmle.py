"""The story of a run, with the real `lmle` command: done, done again, changed, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from flows.exits import UsageError
from flows.neighbours import show_neighbours
from lmle_core.artefact import read_commit
from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.features import Features
from lmle_core.store import ImageStore
from tasks.mlflow_store import quiet_mlflow
from tests.object_store import ObjectStore

pytestmark = [pytest.mark.slow, pytest.mark.services]

TINY = (
    "data.images=640", "data.height=32", "data.width=32", "data.shard=128", "trunk.width=8", "prior.epochs=4",
    "training.rounds=2", "training.epochs=1", "training.batch=32", "training.dimensions=16", "cluster.size=150",
    "index.clusters_per_class=[1, 2]", "evaluation.bootstrap=200", "engines.threads=1", "engines.checkpoint=2",
    "quintuplets.redraw=2",
)  # fmt: skip
STAGES = {
    "synth",
    "ingest",
    "prior",
    "features",
    "clusters",
    "health",
    "train",
    "index",
    "pca",
    "bce",
    "evaluation",
    "run",
}


LOAD_AND_PREDICT = """
import sys
from pathlib import Path
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/lmle@champion")
faces = [Path(name).read_bytes() for name in sys.argv[2:]]
model.predict(pandas.DataFrame({"image": faces})).to_parquet(sys.argv[1])
"""


@dataclass(frozen=True)
class Finished:
    """A finished `lmle run`."""

    workspace: Path
    directory: Path
    said: str

    @property
    def summary(self) -> bytes:
        return (self.directory / "summary.json").read_bytes()


def executable() -> str:
    return str(Path(sys.executable).parent / "lmle")


def command(workspace: Path, *settings: str) -> list[str]:
    words = [executable(), "run", "--workspace", str(workspace)]
    return words + [word for setting in (*TINY, *settings) for word in ("--set", setting)]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LMLE_", "MLFLOW_"))}


def run(workspace: Path, *settings: str) -> Finished:
    ended = subprocess.run(
        command(workspace, *settings), capture_output=True, text=True, check=False, env=environment(), timeout=500
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    newest = max(workspace.glob("runs/*/summary.json"), key=lambda path: path.stat().st_mtime).parent
    return Finished(workspace, newest, said)


def stages_of(workspace: Path) -> dict[str, float]:
    """Every committed stage and when its marker was written."""
    return {
        str(marker.parent.relative_to(workspace)): marker.stat().st_mtime
        for marker in workspace.glob("*/**/COMMITTED.json")
    }


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("first") / "workspace", "engines.dask_workers=1")


def test_a_run_leaves_everything_that_it_promises(first: Finished) -> None:
    names = {path.name for path in first.directory.iterdir()}
    assert names >= {
        "summary.json", "timings.json", "attributes.csv", "predictions.parquet", "report.html", "index", "model",
        "figures",
    }  # fmt: skip
    summary = json.loads(first.summary)
    assert summary["run"] == first.directory.name
    assert summary["data"]["split"] == {"train": 520, "valid": 60, "test": 60}
    assert [entry["round"] for entry in summary["rounds"]] == [0, 1, 2]
    assert all(entry["spread"]["mean"] > 0.3 for entry in summary["rounds"])
    assert set(summary["baselines"]) == {"majority", "prior", "pca", "bce", "bce_prior", "bce_calibrated"}
    assert list(summary["test"]["attributes"]) == list(ATTRIBUTES)
    assert summary["baselines"]["majority"]["mean_balanced_accuracy"] == pytest.approx(0.5)
    assert summary["test"]["mean_balanced_accuracy"] > 0.5
    assert {entry["stage"] for entry in json.loads((first.directory / "timings.json").read_text())} >= {
        "ingest",
        "train",
    }
    stages = {(read_commit(first.workspace / path) or {})["stage"] for path in stages_of(first.workspace)}
    assert stages == STAGES
    table = pd.read_parquet(first.directory / "predictions.parquet")
    assert set(table["split"]) == {"valid", "test"}
    test = table[table["split"] == "test"]
    male = summary["test"]["attributes"]["Male"]
    assert (test["Male.label"] == test["Male.prediction"]).mean() == pytest.approx(male["total_accuracy"], abs=1e-6)


def test_a_second_run_finds_every_stage_done_and_records_nothing_twice(first: Finished) -> None:
    before, records = stages_of(first.workspace), mlflow_state(first.workspace)
    again = run(first.workspace, "engines.dask_workers=2")
    assert stages_of(first.workspace) == before
    assert again.directory == first.directory
    assert "found done" in again.said and " done in " not in again.said.replace("found done in", "")
    assert mlflow_state(first.workspace) == records


def test_another_option_redoes_just_what_depends_on_it(first: Finished) -> None:
    before = stages_of(first.workspace)
    other = run(first.workspace, "index.neighbours=[0, 2]")
    added = {
        (read_commit(first.workspace / path) or {})["stage"] for path in set(stages_of(first.workspace)) - set(before)
    }
    assert added == {"index", "evaluation", "run"}
    assert other.directory != first.directory


def test_the_papers_mode_runs_from_the_same_configuration(first: Finished) -> None:
    before = stages_of(first.workspace)
    settings = ("quintuplets.mode=table", "training.rounds=1", "evaluation.bce=false")
    table = run(first.workspace, *settings)
    added = [
        (read_commit(first.workspace / path) or {})["stage"] for path in set(stages_of(first.workspace)) - set(before)
    ]
    features = ["features"] * 2  # embeddings and logits
    assert sorted(added) == ["evaluation", *features, "health", "index", "quintuplets", "run", "train"]
    (_, trained) = json.loads(table.summary)["rounds"]
    assert set(trained["loss"]) == {"bce", "header_1", "header_2", "header_3"}
    assert set(json.loads(table.summary)["baselines"]) == {"majority", "prior", "pca"}


def test_a_killed_run_continues_and_ends_with_the_same_bytes(first: Finished, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    with (tmp_path / "said").open("w") as said:
        child = subprocess.Popen(
            command(workspace, "engines.dask_workers=2"), stdout=said, stderr=subprocess.STDOUT, env=environment()
        )
    while child.poll() is None and not list(workspace.glob("stages/train/*.partial/checkpoint.pt")):
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert list(workspace.glob("stages/train/*.partial/checkpoint.pt")), (tmp_path / "said").read_text()
    before = stages_of(workspace)
    assert {path.split("/")[1] for path in before if path.startswith("stages/")} >= {"synth", "prior", "clusters"}
    finished = run(workspace, "engines.dask_workers=2")
    after = stages_of(workspace)
    assert {path: after[path] for path in before} == before
    assert finished.summary == first.summary
    assert mlflow_state(workspace)["runs"] == mlflow_state(first.workspace)["first runs"]


def mlflow_state(workspace: Path) -> dict[str, object]:
    """What the record holds: runs, metric points and model versions, of all runs and of the first one."""
    mlflow = quiet_mlflow()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{workspace}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'lmle'")
    runs = client.search_runs([experiment.experiment_id], max_results=1000, order_by=["attributes.start_time ASC"])
    first = runs[0].data.tags["lmle.run"]
    points = {
        f"{found.info.run_name} {key}": len(client.get_metric_history(found.info.run_id, key))
        for found in runs
        for key in found.data.metrics
    }
    return {
        "runs": sorted((found.info.run_name, found.info.status) for found in runs),
        "first runs": sorted(
            (found.info.run_name, found.info.status) for found in runs if found.data.tags["lmle.run"] == first
        ),
        "points": points,
        "versions": len(client.search_model_versions("name = 'lmle'")),
    }


def test_the_record_has_a_child_for_each_round_and_few_metrics(first: Finished) -> None:
    mlflow = quiet_mlflow()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{first.workspace}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'lmle'")
    name = first.directory.name
    runs = client.search_runs([experiment.experiment_id], f"tags.`lmle.run` = '{name}'")
    (parent,) = [found for found in runs if "mlflow.parentRunId" not in found.data.tags]
    children = [found for found in runs if found.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(child.data.tags["lmle.round"] for child in children) == ["0", "1", "2"]
    keys = {key for found in runs for key in found.data.metrics}
    assert len(keys) <= 15
    assert keys >= {
        "mean_balanced_accuracy",
        "spread",
        "nmi",
        "loss_header_1",
        "active_share",
        "learning_rate",
        "images_per_second",
    }
    summary = json.loads(first.summary)
    assert parent.data.metrics["mean_balanced_accuracy"] == summary["test"]["mean_balanced_accuracy"]
    assert parent.data.params["training.rounds"] == "2"
    assert parent.data.tags["lmle.data"] == summary["data"]["digest"]
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert artifacts >= {"summary.json", "attributes.csv", "report.html", "figures"}


def test_the_registered_model_classifies_raw_images(first: Finished, tmp_path: Path) -> None:
    faces = sorted(first.workspace.glob("stages/synth/*/img_align_celeba/*.jpg"))[-60:]
    subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, str(tmp_path / "answers.parquet"), *map(str, faces)], check=True,
        env=environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{first.workspace}/mlflow.db"}, cwd=tmp_path,
    )  # fmt: skip
    answers = pd.read_parquet(tmp_path / "answers.parquet")
    table = (
        pd.read_parquet(first.directory / "predictions.parquet")
        .set_index("filename")
        .loc[[face.name for face in faces]]
    )
    for attribute in ("Male", "Smiling", "Bald"):
        assert (answers[attribute].to_numpy() == table[f"{attribute}.prediction"].to_numpy()).all()
        np.testing.assert_allclose(answers[f"{attribute}_margin"], table[f"{attribute}.margin"], atol=1e-3)
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "lmle"), "predict", str(first.directory), str(faces[0]), "--format", "json"],
        capture_output=True, text=True, check=True, env=environment(),
    )  # fmt: skip
    assert faces[0].name in ended.stdout and "Bald" in ended.stdout


def test_neighbours_are_the_training_images_nearest_in_the_runs_embeddings(
    first: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.runs import artefact_of, find_run

    run = find_run(first.workspace, first.directory.name)
    store = ImageStore.open(artefact_of(run, "store", first.workspace))
    values = Features.open(artefact_of(run, "features", first.workspace)).array[:]
    row, attribute = store.rows(0)[5], store.attributes.index("Smiling")
    (face,) = first.workspace.glob(f"stages/synth/*/img_align_celeba/{store.filenames[row]}")
    out = tmp_path / "grid.png"
    for model in (first.directory.name, "models:/lmle@champion"):
        show_neighbours(first.workspace, model, face, "Smiling", 5, out)
    train = store.rows(0)
    distances = np.linalg.norm(values[train, attribute] - values[row, attribute], axis=1)
    nearest = train[np.argsort(distances)[:5]]
    assert nearest[0] == row  # itself
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if ".jpg" in line and len(line.split()) == 3]
    assert [line[0] for line in lines] == [store.filenames[each] for each in nearest] * 2
    assert [int(line[2]) for line in lines] == store.labels[nearest, attribute].tolist() * 2
    np.testing.assert_allclose([float(line[1]) for line in lines[:5]], np.sort(distances)[:5], atol=2e-3)
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="did you mean 'Smiling'"):
        show_neighbours(first.workspace, run.name, face, "Smilling", 5, None)
    features = artefact_of(run, "features", first.workspace)
    features.rename(tmp_path / "features")
    try:
        with pytest.raises(UsageError, match=f"the embeddings of run {run.name} are gone.*`lmle run` makes them again"):
            show_neighbours(first.workspace, run.name, face, None, 5, None)
    finally:
        (tmp_path / "features").rename(features)


def test_another_machine_finds_done_what_this_one_shares(first: Finished, tmp_path: Path, s3: ObjectStore) -> None:
    UPath("s3://shared").mkdir()
    storage = "engines.storage=s3://shared/lmle"
    shared = run(first.workspace, storage)  # what was made before there was a storage is uploaded now
    other = run(tmp_path / "workspace", storage)
    for finished in (shared, other):
        assert " done in " not in finished.said.replace("found done in", "") and " begins" not in finished.said
    assert f"{'train':<12} fetched from s3://shared/lmle" in other.said
    for directory in stages_of(other.workspace):
        here, there = first.workspace / directory, other.workspace / directory
        files = [path.relative_to(here) for path in here.rglob("*") if path.is_file()]
        assert all((there / file).read_bytes() == (here / file).read_bytes() for file in files)
    assert other.summary == first.summary
    assert mlflow_state(other.workspace)["runs"] == mlflow_state(first.workspace)["first runs"]
