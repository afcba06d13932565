"""The `lmle` command as a user meets it: what it refuses and how, what it prints, and what it ends with."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.commands.options import laid_over
from flows.exits import Exit, explain
from flows.runs import model_directory
from lmle_core.artefact import make_once
from lmle_core.celeba.layout import DataError
from lmle_core.config import load_config, presets
from tasks.champions import deciding
from tasks.mlflow_store import connect, own_store
from tests.conftest import Ended
from tests.tasks.tiny_run import ATTRIBUTES, jpeg, make_run

Lmle = Callable[..., Ended]


def _scores(images: int, value: float) -> dict[str, object]:
    each = {"balanced_accuracy": value, "interval": [value - 0.1, value + 0.1], "tpr": 0.5, "tnr": 1.0}
    return {
        "images": images,
        "mean_balanced_accuracy": value,
        "interval": [value - 0.1, value + 0.1],
        "mean_total_accuracy": 0.75,
        "mean_tpr": 0.5,
        "mean_tnr": 1.0,
        "attributes": {name: {**each, "total_accuracy": 0.75, "support": [3, 1]} for name in ATTRIBUTES},
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with an untrained model."""
    directory = make_run(tmp_path / "workspace" / "runs" / "0123abcd4567")
    summary = {
        "test": _scores(1234, 0.8125),
        "baselines": {"prior": _scores(1234, 0.5), "bce": None},
        "data": {"images": 6000, "attributes": list(ATTRIBUTES)},
        "config": load_config("demo").model_dump(mode="json"),
    }
    (directory / "summary.json").write_text(json.dumps(summary))
    return directory


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with three images and a text."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("b.jpg", "a.JPG", "more/c.jpeg")):
        (folder / name).write_bytes(jpeg(seed))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--preset", "dmeo"], "unknown preset 'dmeo'; did you mean 'demo'?"),
        (["run", "--set", "trainin.rounds=2"], "unknown name 'trainin'; did you mean 'training'?"),
        (["run", "--set", "prior.kind=bcee"], "'bcee' is not one of bce, identity, torchvision, pca; did you"),
        (["run", "--set", "training.rounds=0"], "training.rounds: Input should be greater than or equal to 1 (got 0)"),
        (["run", "--set", "rounds"], "expected section.key=value"),
        (["run", "--set", "engines.model=team/faces"], "engines.model: 'team/faces' is no name that can be had"),
        (["run", "--set", "prior.epochs=inf"], "prior.epochs: Input should be a finite number (got inf)"),
        (["run", "--set", "rounds=3"], "--set rounds=3: did you mean training.rounds?"),
        (["run", "--set", "training=3"], "training: a section, whose settings are training.KEY=VALUE (got 3)"),
        (["run", "--set", "data.attributes=Bald"], 'expected a list, such as ["a", "b"] or [1, 2] (got \'Bald\')'),
        (["run", "--workspace", "/dev/null/x"], "workspace /dev/null/x: Not a directory; choose another"),
        (["run", "--seed", "-1"], "seed: Input should be greater than or equal to 0 (got -1)"),
        (["run", "--data", "/no/such/folder"], "--data /no/such/folder: no such folder"),
        (["run", "--set", "data.directory=/no/such/folder"], "data.directory /no/such/folder: no such folder"),
        (["config", "--set", "loss.tau=1"], "unknown name 'tau'"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run", "--frobnicate"], "No such option"),
        (["show"], "`lmle run` makes one"),
        (["report", "x"], "`lmle run` makes one"),
        (["predict", "latest", "/no/such/image.jpg"], "/no/such/image.jpg: no such file or folder"),
        (["predict", "latest", "/no/such", "--out", "x"], "--out takes one folder: /no/such: no such folder"),
        (["predict", "latest", "/tmp", "--out", "s3://b/x"], "--out s3:/b/x: expected a folder of this machine"),
        (["run", "--workspace", "s3://b/w"], "the workspace s3:/b/w: expected a folder of this machine"),
        (["up", "--workspace", "file:///srv/w"], "the workspace file:/srv/w: expected a folder of this machine"),
        (["neighbours", "latest", "/no/such/image.jpg"], "/no/such/image.jpg: no such file"),
        (["up", "--prefect-port", "99999"], "Invalid value for '--prefect-port'"),
        (["join", "node0"], "node0: expected HOST:PORT, as engines.rendezvous of the run"),
    ],
)  # fmt: skip
def test_wrong_usage_is_refused_by_name_before_anything_starts(
    lmle: Lmle, tmp_path: Path, arguments: list[str], message: str
) -> None:
    ended = lmle(*arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "workspace").exists()


def test_every_wrong_entry_is_named_at_once(lmle: Lmle) -> None:
    ended = lmle("run", "-s", "prior.epoch=1", "-s", "loss.kind=hing")
    assert ended.code == 2
    assert "did you mean 'epochs'?" in ended.err
    assert "did you mean 'hinge'?" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("champions",),
        ("rollback",),
        ("predict", "models:/lmle@champion", "images"),
        ("neighbours", "models:/lmle@champion", "images/b.jpg"),
    ],
)
@pytest.mark.usefixtures("images")
def test_a_store_that_does_not_answer_is_told_at_once(
    lmle: Lmle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # an address behind a proxy is not asked
    monkeypatch.chdir(tmp_path)
    begun = time.perf_counter()
    ended = lmle(*arguments)
    assert ended.code == 4
    assert "MLflow's store does not answer at http://127.0.0.1:9" in ended.err
    assert time.perf_counter() - begun < 30  # where MLflow itself asks for minutes


def test_a_full_disk_is_told_of_the_workspace_that_was_asked_for(
    lmle: Lmle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def full(directory: Path) -> bool:
        asked.append(directory)
        return True

    monkeypatch.setattr("flows.cli.is_full", full)
    monkeypatch.setattr("flows.commands.models._champions", lambda *_: 1 / 0)
    assert f"the disk of {tmp_path / 'big'} is full" in lmle("champions", "--workspace", tmp_path / "big").err
    assert f"the disk of {tmp_path / 'workspace'} is full" in lmle("champions").err
    assert "found a URL" in lmle("champions", "--workspace", "s3://bucket/workspace").err
    assert asked == [tmp_path / "big", tmp_path / "workspace"]


def test_debug_shows_where(lmle: Lmle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMLE_DEBUG", "1")
    assert "Traceback" in lmle("run", "-p", "dmeo").err


@pytest.mark.parametrize("preset", presets())
def test_the_printed_configuration_reads_back(lmle: Lmle, tmp_path: Path, preset: str) -> None:
    printed = lmle("config", "--preset", preset, "--set", "training.rounds=7", "--set", 'data.attributes=["Male"]')
    file = tmp_path / "mine.toml"
    file.write_text(printed.out)
    expected = load_config(preset, ["training.rounds=7", 'data.attributes=["Male"]'])
    assert load_config(str(file)) == expected
    assert "# Rounds of cluster, mine, train." in printed.out
    as_json = lmle("config", "--preset", preset, "-s", "training.rounds=7", "-s", 'data.attributes=["Male"]', "--json")
    assert type(expected).model_validate_json(as_json.out) == expected


def test_the_schema_describes_every_setting(lmle: Lmle) -> None:
    schema = json.loads(lmle("config", "--schema").out)
    assert all(
        "description" in setting for section in schema["$defs"].values() for setting in section["properties"].values()
    )


def test_runs_and_show(lmle: Lmle, run: Path) -> None:
    assert "0123abcd4567  81.2" in lmle("runs").out.replace("81.3", "81.2")
    for name in ("latest", "0123abcd4567", "0123", str(run)):
        shown = lmle("show", name)
        assert shown.code == 0
        assert "1,234 images" in shown.out
        assert "71.2 – 91.2" in shown.out
        assert all(attribute in shown.out for attribute in ATTRIBUTES)
    assert json.loads(lmle("show", "--json").out)["test"]["images"] == 1234
    missing = lmle("show", "0132abcd4567")
    assert (missing.code, "did you mean '0123abcd4567'?" in missing.err) == (2, True)


def test_report(lmle: Lmle, run: Path) -> None:
    assert "this run has no report" in lmle("report").err
    (run / "report.html").write_text("<html>")
    assert lmle("report").out.strip() == str(run / "report.html")


def test_predict_writes_label_and_margin_of_each_attribute(lmle: Lmle, run: Path, images: Path) -> None:
    as_json = lmle("predict", "latest", images, "--format", "json")
    assert as_json.code == 0
    found = json.loads(as_json.out)
    assert [Path(each["file"]).name for each in found] == ["a.JPG", "b.jpg", "c.jpeg"]
    assert all(list(each["attributes"]) == list(ATTRIBUTES) for each in found)
    assert all(a["label"] in (0, 1) and a["margin"] >= 0 for each in found for a in each["attributes"].values())
    rows = list(csv.DictReader(io.StringIO(lmle("predict", run, images, "-f", "csv").out)))
    for row, each in zip(rows, found, strict=True):
        assert row["file"] == each["file"]
        for name, answer in each["attributes"].items():
            assert (int(row[name]), float(row[f"{name}_margin"])) == (answer["label"], answer["margin"])
    table = lmle("predict", "latest", images / "b.jpg").out
    bald = found[1]["attributes"]["Bald"]
    assert f"{bald['label']}  {bald['margin']:6.3f}" in table


def test_a_model_by_a_relative_path_is_found_from_any_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("workspace/runs/0123abcd4567", "0123abcd4567"):
        assert model_directory(Path("workspace"), name) == run  # Dask's workers have another working directory


def test_predict_refuses_what_is_no_image(lmle: Lmle, run: Path, images: Path, tmp_path: Path) -> None:
    (images / "void.jpg").touch()
    ended = lmle("predict", "latest", images, images / "notes.txt", "-f", "csv")
    assert ended.code == 2
    assert "no answer for 2 of 5 files" in ended.err
    assert all(f"{images / name}: " in ended.err for name in ("notes.txt", "void.jpg"))
    assert [row["file"] for row in csv.DictReader(io.StringIO(ended.out))] == [
        str(images / name) for name in ("a.JPG", "b.jpg", "more/c.jpeg")
    ]  # the others have theirs
    truncated = tmp_path / "cut.jpg"
    truncated.write_bytes(jpeg(1)[:80])
    ended = lmle("predict", "latest", truncated)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"lmle: {truncated}: ")
    (tmp_path / "empty").mkdir()
    assert "no image in this folder" in lmle("predict", "latest", tmp_path / "empty").err


@pytest.mark.parametrize("arguments", [["config", "--schema"], ["runs"]])  # more and less than a buffer holds
def test_a_reader_that_goes_away_is_no_error(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "flows.cli", *arguments]
    environment = {**os.environ, "LMLE_WORKSPACE": str(tmp_path)}
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_rollback_does_not_cross_a_verdict(lmle: Lmle, tmp_path: Path) -> None:
    with deciding(tmp_path / "workspace"):
        ended = lmle("rollback")
    assert (ended.code, "comparing its model with the champion: try again" in ended.err) == (2, True)
    assert "has no champion" in lmle("rollback").err


def test_status_and_down_without_services(lmle: Lmle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)  # of the session's server, where another test wanted one
    ended = lmle("status")
    assert (ended.code, "`lmle up` starts them" in ended.out) == (1, True)
    assert "no services were up" in lmle("down").out


def test_gc_lists_and_only_then_deletes(lmle: Lmle, tmp_path: Path) -> None:
    partial = tmp_path / "workspace" / "stages" / "train" / "abc.partial"
    partial.mkdir(parents=True)
    (partial / "checkpoint").write_bytes(b"x" * 2**20)
    assert "nothing to delete" in lmle("gc").out
    assert "1.0 MiB could be deleted" in lmle("gc", "--older", 0).out
    assert partial.exists()
    assert "1.0 MiB deleted" in lmle("gc", "--older", 0, "--delete").out
    assert not partial.exists()


def test_gc_takes_old_runs_where_it_is_told_how_many_to_keep(lmle: Lmle, tmp_path: Path) -> None:
    for name in ("older", "newer"):
        make_once(tmp_path / "workspace" / "runs" / name, "run", {}, lambda partial, record: None)
    assert "nothing to delete" in lmle("gc", "--older", 0).out
    ended = lmle("gc", "--older", 0, "--keep", 1, "--delete")
    assert "1 old runs are left: the MLflow at sqlite:///" in ended.out
    connect(own_store(tmp_path / "workspace")).create_run("0", tags={"lmle.run": "older"})
    ended = lmle("gc", "--older", 0, "--keep", 1, "--delete")
    assert (ended.code, "retired" in ended.out, "runs/older" in ended.out) == (0, True, True)
    assert [run.name for run in (tmp_path / "workspace" / "runs").iterdir() if run.is_dir()] == ["newer"]


def test_synth_writes_a_data_set_and_spares_what_is_there(lmle: Lmle, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    ended = lmle("synth", out, "--images", 4, "--seed", 1)
    assert (ended.code, f"lmle run --data {out}" in ended.out) == (0, True)
    assert len(list((out / "img_align_celeba").iterdir())) == 4
    assert "expected a new or empty folder" in lmle("synth", out, "-n", 4).err


def test_an_interrupted_synth_leaves_nothing_that_looks_like_a_data_set(
    lmle: Lmle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lmle_core.faces.files.write_all_images", interrupted)
        ended = lmle("synth", tmp_path / "faces", "-n", 4)
    assert (ended.code, ended.err.strip()) == (3, "lmle: interrupted; the same command begins anew")
    assert not (tmp_path / "faces").exists()
    assert lmle("synth", tmp_path / "faces", "-n", 4).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_an_error_of_a_library_is_not_taken_for_ours_by_its_name() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy.exc")
    error = RuntimeError("MLflow does not answer")
    error.__cause__ = sqlalchemy.DataError("select 1", {}, ValueError("x"))
    assert explain(error)[0] is Exit.FAILED
    error.__cause__ = DataError("no such file")
    assert explain(error) == (Exit.USAGE, "no such file")


def test_a_workspace_and_a_folder_of_any_name(tmp_path: Path) -> None:
    for name in ("😀", "𠮷 faces", 'a "quoted" one'):
        (tmp_path / name).mkdir()
        config = load_config(None, laid_over(None, str(tmp_path / name), tmp_path / name))
        assert (config.data.directory, config.engines.workspace) == (tmp_path / name, tmp_path / name)


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = ("torch", "prefect", "mlflow", "numpy", "pandas")
    code = f"import sys, flows.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    begun = os.times().children_user
    subprocess.run([sys.executable, "-m", "flows.cli", "--help"], capture_output=True, check=True)
    assert os.times().children_user - begun < 1.5


def test_after_an_error_no_thread_keeps_the_process() -> None:
    """As the clients of a server that is gone would, which ask on and on."""
    code = """if True:
        import sys, threading, time
        from flows import cli
        cli.GRACE = 0.5
        threading.Thread(target=time.sleep, args=(600,)).start()
        sys.argv = ["lmle", "show", "nothing"]
        cli.main()
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 2, ended.stderr
