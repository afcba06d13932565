"""The story of a comparison, with the real `lmle` command: done, and done again with everything found."""

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from lmle_core.methods.catalogue import METHODS
from tasks.mlflow_store import quiet_mlflow
from tests.flows.commands import TINY, within
from tests.flows.test_lmle import environment, executable

pytestmark = [pytest.mark.slow, pytest.mark.services]
COMPARED = ("lmle", "bce")


def command(workspace: Path, *words: str) -> list[str]:
    options = [word for setting in (*TINY, "engines.dask_workers=1") for word in ("--set", setting)]
    return [executable(), "compare", "--workspace", str(workspace), "--name", "tiny", *options, *words]


def compare(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(workspace, *words), capture_output=True, text=True, check=False, env=environment(), timeout=500
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("workspace")
    ended = compare(workspace, "--methods", ",".join(COMPARED), "--seeds", "2", "--trial-seeds", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"tables  {workspace / 'comparisons' / 'tiny' / 'comparison.md'}" in ended.stdout
    return workspace


def test_every_method_rule_and_seed_is_there_and_the_tables_agree_with_the_samples(workspace: Path) -> None:
    directory = workspace / "comparisons" / "tiny"
    samples = json.loads((directory / "samples.json").read_text())
    expected = {(name, rule, seed) for name in COMPARED for rule in METHODS[name].rules for seed in (0, 1)}
    assert {(each["method"], each["rule"], each["seed"]) for each in samples} == expected
    assert len({each["images_seen"] for each in samples}) == 1
    own: dict[tuple[str, str], list[float]] = {(each["method"], each["rule"]): [] for each in samples}
    for each in samples:
        own[each["method"], each["rule"]].append(each["annotated"]["mean"])
    with (directory / "comparison.csv").open() as file:
        for row in csv.DictReader(file):
            values = own[row["method"], row["rule"]]
            assert float(row["balanced_accuracy"]) == pytest.approx(sum(values) / 2, abs=2e-6)
    assert (directory / "figures" / "differences.png").stat().st_size > 10_000
    assert "| **LMLE** | clusters, weighed with the log-odds |" in (directory / "comparison.md").read_text()


def test_the_settings_are_those_that_did_best_on_validation_for_every_seed(workspace: Path) -> None:
    directory = workspace / "comparisons" / "tiny"
    trials = json.loads((directory / "trials.json").read_text())
    samples = json.loads((directory / "samples.json").read_text())
    for name in COMPARED:
        assert [len(trial["experiments"]) for trial in trials[name]] == [1] * len(trials[name])
        assert [trial["settings"] for trial in trials[name]] == [dict(each) for each in METHODS[name].trials]
        best = max(trials[name], key=lambda trial: trial["validation"])["settings"]
        assert all(each["settings"] == best for each in samples if each["method"] == name)


def test_mlflow_has_one_parent_and_a_child_for_each_method_and_seed(workspace: Path) -> None:
    quiet_mlflow()
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    home = client.get_experiment_by_name("lmle-comparisons")
    assert home is not None
    found = client.search_runs([home.experiment_id])
    parents = [each for each in found if "lmle.comparison" in each.data.tags]
    children = [each for each in found if "lmle.experiment" in each.data.tags]
    assert [each.info.status for each in found] == ["FINISHED"] * 5
    assert len(parents) == 1
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parents[0].info.run_id}
    assert {each.info.run_name for each in children} == {f"{name} seed {seed}" for name in COMPARED for seed in (0, 1)}
    assert all(len(each.data.metrics) <= 14 for each in found)
    metrics = parents[0].data.metrics
    assert metrics["balanced_accuracy_low"] <= metrics["balanced_accuracy"] <= metrics["balanced_accuracy_high"]
    assert "**LMLE**" in parents[0].data.tags["mlflow.note.content"]
    parent = parents[0].info.run_id
    assert "comparison.md" in {each.path for each in client.list_artifacts(parent)}
    assert "figures/differences.png" in {each.path for each in client.list_artifacts(parent, "figures")}


def test_started_again_it_finds_everything_done_and_records_what_a_killed_one_had_begun_to(workspace: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    home = client.get_experiment_by_name("lmle-comparisons")
    assert home is not None
    killed = next(each for each in client.search_runs([home.experiment_id]) if "lmle.experiment" in each.data.tags)
    client.update_run(killed.info.run_id, status="RUNNING")
    marks = {path: path.stat().st_mtime_ns for path in workspace.glob("stages/*/*/COMMITTED.json")}
    ended = compare(workspace, "--methods", ",".join(COMPARED), "--seeds", "2", "--trial-seeds", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {path: path.stat().st_mtime_ns for path in workspace.glob("stages/*/*/COMMITTED.json")} == marks
    found = client.search_runs([home.experiment_id])
    assert [each.info.status for each in found] == ["FINISHED"] * 5
    assert killed.info.run_id not in [each.info.run_id for each in found]
    (again,) = [each for each in found if each.info.run_name == killed.info.run_name]
    assert again.data.metrics == killed.data.metrics


def test_an_unknown_method_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    ended = compare(tmp_path, "--methods", "lmle,focl")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "lmle: unknown method 'focl'; did you mean 'focal'?"
    assert not list(tmp_path.glob("stages/*"))


def session(leader: int) -> list[psutil.Process]:
    """The processes that a command started in a session of its own, itself among them."""
    found = []
    for each in psutil.process_iter():
        try:
            if os.getsid(each.pid) == leader and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which no comparison comes to its end."""
    return tmp_path_factory.mktemp("stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_midst_it_leaves_no_process_and_what_it_has_learned(
    number: signal.Signals, stopped: Path
) -> None:
    words = (
        "--methods",
        "bce",
        "--seeds",
        "1",
        "--set",
        f"prior.epochs={3000 + number}",
        "--set",
        "engines.parallel=2",
    )
    run = subprocess.Popen(
        command(stopped, *words), env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    before = set(stopped.glob("stages/experiment/*.partial/network/checkpoint.pt"))

    def learned() -> set[Path]:
        return set(stopped.glob("stages/experiment/*.partial/network/checkpoint.pt")) - before

    try:
        within(300, lambda: len(learned()) == 2 or run.poll() is not None)
        assert run.poll() is None and len(learned()) == 2  # both settings at a time
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # as a terminal does
        else:
            run.send_signal(number)
        _, said = run.communicate(timeout=60)
        assert run.returncode == (-number if number == signal.SIGKILL else 3)
        assert within(30, lambda: not session(run.pid))
        assert len(learned()) == 2
    finally:
        for each in session(run.pid):
            each.kill()
    if number != signal.SIGKILL:
        assert said.splitlines()[-1] == "lmle: interrupted; the same command continues where this one stopped"
        assert "Traceback" not in said
