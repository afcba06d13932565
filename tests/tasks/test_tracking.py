"""The record of a run in a real MLflow store: complete, and the same however often it is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmle_core.changes import DataChanges, Images
from lmle_core.config import Config, Engines, load_config
from lmle_core.metrics import score
from tasks.mlflow_store import TrackingError, own_store
from tasks.tracking import METRICS, Tracker

DATA = {
    "digest": "d" * 32,
    "images": 120,
    "split": {"train": 80, "valid": 20, "test": 20},
    "quarantined": 1,
    "attributes": ["Bald", "Male"],
}
CURVES = {
    "loss_class": [(step, 1 / (step + 1)) for step in range(0, 40, 2)],
    "active_share": [(step, 0.5) for step in range(0, 40, 2)],
}


def scores() -> dict[str, Any]:
    labels = (np.arange(40).reshape(20, 2) % 3 == 0).astype(np.int8)
    return score(labels, labels ^ (np.arange(20)[:, None] == 4), ["Bald", "Male"], bootstrap=100).to_json()


@pytest.fixture
def opened(mlflow_workspace: Path, request: pytest.FixtureRequest) -> Callable[..., Tracker]:
    """Makes trackers of an experiment of this test's own."""
    engines = Engines(experiment=request.node.name)

    def make(digest: str = "1" * 32) -> Tracker:
        return Tracker.open(engines, mlflow_workspace, digest, "demo")

    return make


def tell(tracker: Tracker, folder: Path, rounds: int = 2) -> None:
    """A whole run, as the flow tells it."""
    config = Config()
    tracker.start(config, DATA, code="c" * 32)
    tracker.round(0, {"spread": 0.6, "mean_balanced_accuracy": 0.6})
    for number in range(1, rounds):
        curves = {key: [(40 * number + step, value) for step, value in curve] for key, curve in CURVES.items()}
        tracker.round(number, {"spread": 0.5, "nmi": 0.7, "loss_class": 0.1, "mean_balanced_accuracy": 0.7}, curves)
    (folder / "summary.json").write_text('{"schema": 1}')
    (folder / "bars.png").write_bytes(b"png")
    tracker.finish(scores(), [folder / "summary.json"], [folder / "bars.png"])


def record(tracker: Tracker) -> dict[str, Any]:
    """Everything that the experiment holds, without identities that MLflow draws."""
    client = tracker._client
    found: dict[str, Any] = {}
    for run in client.search_runs([tracker._experiment_id]):
        run_id = run.info.run_id
        history = {
            key: [(point.step, point.value, point.timestamp) for point in client.get_metric_history(run_id, key)]
            for key in run.data.metrics
        }
        files = {
            entry.path: sorted(inner.path for inner in client.list_artifacts(run_id, entry.path))
            if entry.is_dir
            else []
            for entry in client.list_artifacts(run_id)
        }
        name = run.info.run_name
        assert name not in found, f"two runs are called {name}"
        found[name] = {
            "status": run.info.status,
            "tags": {key: tag for key, tag in run.data.tags.items() if key != "mlflow.source.git.commit"},  # may move
            "parameters": run.data.params,
            "metrics": history,
            "files": files,
            "data": [entry.dataset.digest for entry in run.inputs.dataset_inputs],
        }
    return found


def test_what_changed_in_the_data_is_in_tags_and_in_a_file(opened: Callable[..., Tracker], tmp_path: Path) -> None:
    none = Images(0, ())
    changes = DataChanges(
        "e" * 32, Images(1, ("new.jpg",)), none, none, Images(2, ("a.jpg", "b.jpg")), none, {"Bald": 2}
    )
    tracker = opened()
    tracker.start(Config(), DATA, code="c" * 32)
    tracker.data_changes(changes)
    tracker.data_changes(changes)
    found = record(tracker)["demo"]
    counts = {"new": "1", "removed": "0", "replaced": "0", "relabelled": "2", "moved": "0", "previous": "e" * 32}
    assert {name: found["tags"][f"lmle.data.{name}"] for name in counts} == counts
    assert list(found["files"]) == ["data_changes.json"]
    file = tracker._client.download_artifacts(tracker.run_id, "data_changes.json", str(tmp_path))
    assert json.loads(Path(file).read_text())["relabelled"] == {"count": 2, "names": ["a.jpg", "b.jpg"]}


def test_a_run_has_a_parent_with_scores_and_a_child_for_each_round(
    opened: Callable[..., Tracker], tmp_path: Path
) -> None:
    tracker = opened()
    tell(tracker, tmp_path, rounds=3)
    found = record(tracker)
    assert sorted(found) == ["demo", "demo round 0", "demo round 1", "demo round 2"]
    parent, child = found["demo"], found["demo round 2"]
    assert {run["status"] for run in found.values()} == {"FINISHED"}
    assert [(step, value) for step, value, _ in parent["metrics"]["spread"]] == [(0, 0.6), (1, 0.5), (2, 0.5)]
    assert [value for _, value, _ in parent["metrics"]["mean_tpr"]] == [scores()["mean_tpr"]]
    assert parent["tags"]["lmle.data"] == "d" * 32
    assert parent["tags"]["lmle.config"] == Config().digest()
    assert parent["data"] == ["d" * 32]
    assert parent["parameters"]["training.rounds"] == "2"
    assert parent["parameters"]["loss.kind"] == "hinge"
    assert not [name for name in parent["parameters"] if name.startswith("engines")]
    assert parent["files"] == {"attributes.json": [], "figures": ["figures/bars.png"], "summary.json": []}
    assert child["tags"]["mlflow.parentRunId"] == tracker.run_id
    assert [(step, value) for step, value, _ in child["metrics"]["active_share"]] == [
        (80 + step, 0.5) for step in range(0, 40, 2)
    ]
    assert len(child["metrics"]["loss_class"]) == 20
    assert child["metrics"]["mean_balanced_accuracy"][0][:2] == (2, 0.7)
    keys = {key for run in found.values() for key in run["metrics"]}
    assert keys <= METRICS
    assert len(keys) <= 15


def test_told_again_nothing_changes(opened: Callable[..., Tracker], tmp_path: Path) -> None:
    tell(opened(), tmp_path)
    before = record(started(opened()))
    tell(opened(), tmp_path)
    assert record(started(opened())) == before


def started(tracker: Tracker) -> Tracker:
    tracker._experiment_id = tracker._find_experiment()
    return tracker


def test_a_run_that_died_in_a_round_is_continued(opened: Callable[..., Tracker], tmp_path: Path) -> None:
    tell(opened("a" * 32), tmp_path)
    whole = record(started(opened()))

    died = opened("b" * 32)
    died._experiment += "-2"
    config = Config()
    died.start(config, DATA, code="c" * 32)
    died.round(0, {"spread": 0.6, "mean_balanced_accuracy": 0.6})
    half = {key: [(40 + step, value) for step, value in curve[:7]] for key, curve in CURVES.items()}
    died.round(1, {"nmi": 0.7}, half)
    died.fail("killed", interrupted=True)
    assert record(died)["demo"]["status"] == "KILLED"
    assert record(died)["demo"]["tags"]["lmle.failure"] == "killed"

    again = opened("b" * 32)
    again._experiment += "-2"
    tell(again, tmp_path)
    resumed = record(again)
    assert again.run_id == died.run_id
    assert "lmle.failure" not in resumed["demo"]["tags"]
    for name, run in whole.items():
        assert resumed[name]["status"] == "FINISHED"
        for key, points in run["metrics"].items():
            assert [point[:2] for point in resumed[name]["metrics"][key]] == [point[:2] for point in points], key


def test_the_first_value_of_a_step_stays(opened: Callable[..., Tracker], tmp_path: Path) -> None:
    tracker = opened()
    config = Config()
    tracker.start(config, DATA, code="c" * 32)
    for speed in (900.0, 700.0):  # speeds differ between attempts
        tracker.round(1, {"spread": 0.5}, {"images_per_second": [(0, speed), (10, speed)]})
    assert [value for _, value, _ in record(tracker)["demo round 1"]["metrics"]["images_per_second"]] == [900.0, 900.0]


def test_other_engines_continue_the_same_run(opened: Callable[..., Tracker]) -> None:
    identities = set()
    for threads in (1, 2):
        config = Config(engines=Engines(threads=threads))
        identities.add(opened().start(config, DATA, code="c" * 32))
    assert len(identities) == 1


def test_the_same_data_elsewhere_continue_the_same_run(opened: Callable[..., Tracker]) -> None:
    identities = set()
    for folder in ("/data/celeba", "/srv/celeba"):
        tracker = opened()
        config = load_config(None, [f"data.directory={folder}", f"data.more=['{folder}/new', '{folder}/newer']"])
        identities.add(tracker.start(config, DATA, code="c" * 32))
        found = record(tracker)["demo"]
        assert found["tags"]["lmle.place.data.directory"] == folder
        assert found["tags"]["lmle.place.data.more"] == f'["{folder}/new", "{folder}/newer"]'
        assert not [name for name in found["parameters"] if "directory" in name or "more" in name]
    assert len(identities) == 1


def test_the_table_of_attributes_is_mlflows_and_holds_each_once(opened: Callable[..., Tracker], tmp_path: Path) -> None:
    for _ in range(2):
        tracker = opened()
        tell(tracker, tmp_path)
    table = json.loads(Path(_artifact(tracker, "attributes.json").removeprefix("file://")).read_text())
    assert table["columns"] == ["attribute", "tpr", "tnr", "balanced_accuracy", "total_accuracy"]
    assert [row[0] for row in table["data"]] == ["Bald", "Male"]
    tags = tracker._client.get_run(tracker.run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "attributes.json", "type": "table"}]


def _artifact(tracker: Tracker, name: str) -> str:
    return f"{tracker._client.get_run(tracker.run_id).info.artifact_uri}/{name}"


def test_artifacts_lie_in_the_workspace(opened: Callable[..., Tracker], mlflow_workspace: Path, tmp_path: Path) -> None:
    tracker = opened()
    tell(tracker, tmp_path)
    assert _artifact(tracker, "").startswith((mlflow_workspace / "mlartifacts").as_uri())
    assert tracker.uri == own_store(mlflow_workspace)


def test_an_unknown_metric_is_refused_with_the_nearest(opened: Callable[..., Tracker]) -> None:
    tracker = opened()
    config = Config()
    tracker.start(config, DATA, code="c" * 32)
    with pytest.raises(ValueError, match=r"metric 'mean_ballanced_accuracy': .* nearest is 'mean_balanced_accuracy'"):
        tracker.round(1, {"mean_ballanced_accuracy": 0.5})


def test_a_deleted_experiment_is_refused_with_what_to_do(opened: Callable[..., Tracker]) -> None:
    tracker = opened()
    experiment = tracker._find_experiment()
    tracker._client.delete_experiment(experiment)
    with pytest.raises(TrackingError, match=f"was deleted: restore it .*--experiment-id {experiment}"):
        tracker._find_experiment()


def test_nothing_is_recorded_before_the_start(opened: Callable[..., Tracker]) -> None:
    with pytest.raises(RuntimeError, match=r"expected start\(\)"):
        opened().round(0, {"spread": 0.5})
