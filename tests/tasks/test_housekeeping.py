"""What `lmle gc` would take: leftovers and what no run needs; never what a run needs or a process writes."""

import os
from pathlib import Path

import pytest

from lmle_core.artefact import MARKER, Reference, digest_of, lock, make_once
from tasks.housekeeping import old_runs, removable, remove
from tasks.unfinished import HEEDED, finish, note

HOUR = 3600.0


def _make(directory: Path, stage: str, inputs: dict[str, str], content: str | None = None) -> Reference:
    def write(partial: Path, record: dict[str, object]) -> None:
        (partial / "file").write_text("x" * 10)
        if content:
            record["digest"] = digest_of(content)  # of the content, not the key

    return make_once(directory, stage, inputs, write)[0]


def _age(workspace: Path, seconds: float) -> None:
    for path in (workspace, *workspace.rglob("*")):
        changed = path.stat().st_mtime - seconds
        os.utime(path, (changed, changed))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Two chains of store → features; a run refers to the features of the first; and an interrupted attempt."""
    for name in ("used", "unused"):
        store = _make(tmp_path / "stores" / f"{digest_of(name)}.zarr", "ingest", {}, content=name)
        features = _make(tmp_path / "stages" / "features" / digest_of(name + "f"), "features", {"store": store.digest})
        if name == "used":
            _make(tmp_path / "runs" / "run1", "run", {"features": features.digest})
    (tmp_path / "stages" / "train" / f"{digest_of('t')}.partial").mkdir(parents=True)
    return tmp_path


def test_what_no_run_needs_can_go_and_the_rest_stays(workspace: Path) -> None:
    assert removable(workspace, older=HOUR) == []
    _age(workspace, 2 * HOUR)
    found = removable(workspace, older=HOUR)
    assert {(each.path.name.split(".")[0], each.why) for each in found} == {
        (digest_of("unused"), "unreferenced"),
        (digest_of("unusedf"), "unreferenced"),
        (digest_of("t"), "partial"),
    }
    for each in found:
        assert remove(each.path, older=HOUR)
    assert removable(workspace, older=0) == []
    assert (workspace / "stores" / f"{digest_of('used')}.zarr" / "file").exists()
    assert (workspace / "runs" / "run1" / "file").exists()


def test_what_a_grown_store_shares_does_not_count(workspace: Path) -> None:
    _age(workspace, 2 * HOUR)
    unused = workspace / "stores" / f"{digest_of('unused')}.zarr"
    before = {each.path: each.size for each in removable(workspace, older=HOUR)}
    (workspace / "grown").hardlink_to(unused / "file")
    after = {each.path: each.size for each in removable(workspace, older=HOUR)}
    assert before[unused] - after[unused] == 10


def test_procedural_faces_stay_as_long_as_there_is_a_run(workspace: Path) -> None:
    faces = workspace / "stages" / "synth" / digest_of("faces")
    _make(faces, "synth", {})
    assert faces not in [each.path for each in removable(workspace, older=-HOUR)]
    assert remove(workspace / "runs" / "run1", older=-HOUR)
    assert faces in [each.path for each in removable(workspace, older=-HOUR)]


def test_what_an_unfinished_run_has_made_stays_until_nobody_goes_on(workspace: Path) -> None:
    unused = workspace / "stores" / f"{digest_of('unused')}.zarr"
    note(workspace, "study", Reference("ingest", str(unused), digest_of("unused")))
    training = workspace / "stages" / "train" / f"{digest_of('t')}.partial"
    _age(training, HEEDED / 2)
    left = [each.path for each in removable(workspace, older=-HOUR)]
    assert unused not in left and training not in left
    _age(workspace / "unfinished", HEEDED)
    left = [each.path for each in removable(workspace, older=-HOUR)]
    assert unused in left and training in left
    note(workspace, "study", Reference("ingest", str(unused), digest_of("unused")))
    finish(workspace, "study")
    assert unused in [each.path for each in removable(workspace, older=-HOUR)]


def test_what_is_used_again_is_young_again(workspace: Path) -> None:
    _age(workspace, 2 * HOUR)
    unused = workspace / "stores" / f"{digest_of('unused')}.zarr"
    assert unused in [each.path for each in removable(workspace, older=HOUR)]
    _make(unused, "ingest", {})
    assert unused not in [each.path for each in removable(workspace, older=HOUR)]
    assert not remove(unused, older=HOUR)  # as listed before it was used
    assert (unused / "file").exists()


def test_what_a_process_writes_is_left_alone(workspace: Path) -> None:
    _age(workspace, 2 * HOUR)
    made = next(workspace.glob("stages/train/*.partial"))
    final = made.with_name(made.name.removesuffix(".partial"))
    fetched = final.with_name(f"{final.name}.fetched.partial")
    fetched.mkdir()
    with lock(final):
        for partial in (made, fetched):
            assert partial not in [each.path for each in removable(workspace, older=-HOUR)]
            assert not remove(partial, older=-HOUR)
    for partial in (made, fetched):
        assert partial in [each.path for each in removable(workspace, older=-HOUR)]


def test_a_comparison_keeps_its_experiments_those_that_were_not_chosen_and_the_faces(tmp_path: Path) -> None:
    store = _make(tmp_path / "stores" / f"{digest_of('s')}.zarr", "ingest", {}, content="s")
    chosen, tried, unused = (
        _make(tmp_path / "stages" / "experiment" / digest_of(name), "experiment", {"store": store.digest})
        for name in ("chosen", "tried", "unused")
    )
    _make(tmp_path / "stages" / "synth" / digest_of("faces"), "synth", {})
    inputs = {"experiments": chosen.digest, "trials": tried.digest}
    _make(tmp_path / "comparisons" / "faces", "comparison", inputs)
    _age(tmp_path, 2 * HOUR)
    assert [each.path for each in removable(tmp_path, older=HOUR)] == [Path(unused.path)]


def test_old_runs_go_with_what_they_alone_need(tmp_path: Path) -> None:
    shared = _make(tmp_path / "stages" / "features" / digest_of("shared"), "features", {})
    own = {}
    for age, name in enumerate(("newest", "older", "champion", "oldest")):
        own[name] = _make(tmp_path / "stages" / "train" / digest_of(name), "train", {})
        run = tmp_path / "runs" / name
        _make(run, "run", {"features": shared.digest, "train": own[name].digest})
        os.utime(run / MARKER, (1e9 - age, 1e9 - age))
    assert old_runs(tmp_path, 4) == []
    assert [run.name for run in old_runs(tmp_path, 2)] == ["champion", "oldest"]
    retired = old_runs(tmp_path, 3)
    assert removable(tmp_path, HOUR, retired) == []  # changed within the hour
    assert [(each.path, each.why) for each in removable(tmp_path, -HOUR, retired)] == [
        (tmp_path / "runs" / "oldest", "retired"),
        (Path(own["oldest"].path), "unreferenced"),
    ]
    with lock(tmp_path / "runs" / "oldest"):
        assert removable(tmp_path, -HOUR, retired) == []


def test_what_a_killed_removal_leaves_is_no_run_and_goes_later(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = workspace / "runs" / "run1"

    def killed(path: Path, **_: object) -> None:
        if path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tasks.housekeeping.shutil.rmtree", killed)
        remove(run, older=-HOUR)
    (left,) = (workspace / "runs").glob("run1*/")
    assert left.name == "run1.old.partial"
    assert (left, "partial") in [(each.path, each.why) for each in removable(workspace, older=-HOUR)]
    assert remove(left, older=-HOUR)
    assert not left.exists()
