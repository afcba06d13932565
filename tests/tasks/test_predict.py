"""Batch prediction on a real Dask cluster: the classifier's answers, bad images with a reason, and no part twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from upath import UPath

from flows.predict import predict
from lmle_core.celeba.layout import DataError
from lmle_core.classifier import Classifier
from lmle_core.config import Engines
from lmle_core.location import Location, LocationError, locate
from tasks.predict import predict_parts
from tasks.workers import Workers
from tests.conftest import Ended
from tests.object_store import ObjectStore
from tests.tasks.tiny_run import ATTRIBUTES, jpeg, make_run

FACES = 10

KILLED = """
import sys
from pathlib import Path
from distributed import LocalCluster
from lmle_core.config import Engines
from tasks.predict import predict_parts
from tasks.workers import Workers
images, run, out = map(Path, sys.argv[1:])
with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
    engines = Engines(dask_address=cluster.scheduler_address)
    with Workers(engines) as workers:
        predict_parts.fn(images, run, out, 1, 0.0, workers)
"""


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    """A cluster's address."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        yield Engines(dask_address=cluster.scheduler_address)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = make_run(tmp_path_factory.mktemp("workspace") / "runs" / "0123abcd4567")
    (directory / "summary.json").write_text("{}")
    return directory


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with ten good images, three bad ones and a text."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for seed in range(FACES):
        (folder / ("more" if seed % 2 else "") / f"{seed}.jpg").write_bytes(jpeg(seed))
    (folder / "cut.jpg").write_bytes(jpeg(1)[:-200])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not an image")
    return folder


def predicted(
    images: Location, run: Path, out: Path, engines: Engines, quarantine: float = 0.5, part: int = 4
) -> pd.DataFrame:
    with Workers(engines) as workers:
        reference = predict_parts.fn(images, run, out, part, quarantine, workers)
    assert reference.path == str(out)
    return pd.read_parquet(out / "predictions")


def written(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("predictions/part-*.parquet")}


def check(table: pd.DataFrame, run: Path, images: Path) -> None:
    """The answers are the classifier's, and nulls where there is a reason instead."""
    good = table[table["error"].isna()].set_index("filename")
    expected = Classifier.load(run).classify([(images / name).read_bytes() for name in good.index])
    for a, name in enumerate(ATTRIBUTES):
        np.testing.assert_array_equal(good[f"{name}.prediction"].to_numpy(), expected.labels[:, a])
        np.testing.assert_allclose(good[f"{name}.margin"].to_numpy(), expected.margins[:, a], atol=1e-5)
    bad = table[table["error"].notna()]
    assert bad[[column for column in table if column not in ("filename", "error")]].isna().all(axis=None)


def test_every_image_has_its_answer_or_a_reason(images: Path, run: Path, engines: Engines, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = predicted(images, run, out, engines)
    assert sorted(table["filename"]) == list(table["filename"])
    assert len(table) == FACES + 3
    check(table, run, images)
    reasons = table.set_index("filename")["error"].dropna()
    assert set(reasons.index) == {"cut.jpg", "empty.png", "text.jpg"}
    assert "truncated" in reasons["cut.jpg"]
    assert reasons["empty.png"] == "the file is empty"
    assert len(written(out)) == 4
    before = written(out)
    predicted(images, run, out, engines)  # found done
    assert written(out) == before


def test_too_many_bad_images_stop_it_and_what_is_done_is_kept(
    images: Path, run: Path, engines: Engines, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"of 13 images have no answer, over the share of 0.1: .*cut.jpg: truncated"):
        predicted(images, run, out, engines, quarantine=0.1)
    assert not out.exists()
    before = written(out.with_name("out.partial"))
    assert before
    check(predicted(images, run, out, engines), run, images)
    assert {name: written(out)[name] for name in before} == before


@pytest.mark.slow
def test_a_killed_prediction_goes_on_where_it_was(run: Path, engines: Engines, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    (images / "0.jpg").write_bytes(jpeg(0))
    for number in range(1, 200):
        os.link(images / "0.jpg", images / f"{number}.jpg")
    child = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, (images, run, out))])
    partial = out.with_name("out.partial")
    while child.poll() is None and not written(partial):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = written(partial)
    assert 0 < len(before) < 200
    (partial / "predictions" / ".part-00199.parquet.0.partial").write_bytes(b"half a part")
    table = predicted(images, run, out, engines, part=1)
    check(table, run, images)
    assert {name: written(out)[name] for name in before} == before
    assert len(list((out / "predictions").iterdir())) == 200


def test_another_request_is_refused_and_nothing_is_overwritten(
    images: Path, run: Path, engines: Engines, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"^/dev/shm: a file system of its own is mounted there; name a folder below"):
        predicted(images, run, Path("/dev/shm"), engines)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="expected a new or empty folder"):
        predicted(images, run, out, engines)
    assert (out / "mine.txt").read_text() == "mine"
    shutil.rmtree(out)
    predicted(images, run, out, engines)
    with pytest.raises(DataError, match="predictions of the same images, model and part size"):
        predicted(images, run, out, engines, part=5)
    (images / "new.jpg").write_bytes(jpeg(3))
    with pytest.raises(DataError, match="expected a new or empty folder"):
        predicted(images, run, out, engines)
    out.rename(out.with_name("out.partial"))
    with pytest.raises(DataError, match=r"out.partial: an interrupted prediction of other images"):
        predicted(images, run, out, engines)


def test_celebas_layout_and_its_zip_are_read(images: Path, run: Path, engines: Engines, tmp_path: Path) -> None:
    celeba = tmp_path / "celeba"
    shutil.copytree(images, celeba / "img_align_celeba")
    table = predicted(celeba, run, tmp_path / "from-folder", engines)
    check(table, run, images)
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    with zipfile.ZipFile(zipped / "img_align_celeba.zip", "w") as archive:
        for file in images.rglob("*.*"):
            archive.write(file, f"img_align_celeba/{file.relative_to(images)}")
    pd.testing.assert_frame_equal(predicted(zipped, run, tmp_path / "from-zip", engines), table)
    (zipped / "img_align_celeba.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="expected a zip archive, found a damaged one"):
        predicted(zipped, run, tmp_path / "none", engines)


@pytest.mark.services
def test_images_at_a_url_have_the_answers_of_those_in_a_folder(
    s3: ObjectStore, images: Path, run: Path, engines: Engines, tmp_path: Path
) -> None:
    bucket = UPath("s3://photos")
    bucket.mkdir()
    bucket.fs.put(f"{images}/", f"{bucket.path}/new", recursive=True)
    table = predicted(locate("s3://photos/new"), run, tmp_path / "from-s3", engines)
    check(table, run, images)
    pd.testing.assert_frame_equal(table, predicted(images, run, tmp_path / "from-folder", engines))
    with pytest.raises(DataError, match="expected a folder of images"):
        predicted(locate("s3://photos/none"), run, tmp_path / "none", engines)
    with pytest.raises(LocationError, match="expected a folder of this machine or one mounted there, found a URL"):
        predict.fn(locate("s3://photos/new"), Path("s3://photos/answers"), str(run), engines=engines)


def test_the_command_runs_the_flow(
    prefect_server: str, lmle: Callable[..., Ended], images: Path, run: Path, engines: Engines, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("LMLE_DASK_ADDRESS", engines.dask_address or "")
    out = tmp_path / "out"
    ended = lmle("predict", run, images, "--out", out, "--quarantine", 0.5, "--part", 4)
    assert ended.code == 0, ended.err
    assert "13 images, 3 of them without an answer" in ended.out
    assert f"Parquet {out / 'predictions'}" in ended.out
    check(pd.read_parquet(out / "predictions"), run, images)
    assert json.loads((out / "request.json").read_text())["part"] == 4
    refused = lmle("predict", run, images, "--out", out, "--part", 5)
    assert refused.code == 2
    assert "expected a new or empty folder" in refused.err
    assert "--out takes one folder" in lmle("predict", run, images / "0.jpg", "--out", out).err
