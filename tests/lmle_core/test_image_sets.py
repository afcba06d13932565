"""A store answers as the files that it was made of, and images that the model cannot take are refused."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from lmle_core.answers import Answers, read_errors
from lmle_core.celeba.annotations import read_celeba
from lmle_core.celeba.layout import DataError
from lmle_core.classifier import Classifier
from lmle_core.config import Data
from lmle_core.image_sets import open_image_set
from lmle_core.ingest import create_store, publish
from lmle_core.location import locate
from lmle_core.shards import ingest_shard
from tests.lmle_core.celeba.small import jpeg, names, write_small
from tests.object_store import ObjectStore
from tests.tasks.tiny_run import ATTRIBUTES, SIDE, make_run

IMAGES = 20


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.load(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In CelebA's layout, the fourth damaged."""
    directory = write_small(tmp_path_factory.mktemp("files"), images=IMAGES)
    damaged = directory / "img_align_celeba" / names(IMAGES)[3]
    damaged.write_bytes(damaged.read_bytes()[:-50])
    return directory


def stored(files: Path, path: Path, **data: object) -> Path:
    settings = Data.model_validate({"height": SIDE, "width": SIDE, "shard": 16, **data})
    path.mkdir()
    for shard in range(create_store(path, read_celeba(files), settings)):
        ingest_shard(path, shard)
    publish(path)
    return path


def test_a_store_answers_as_its_files(classifier: Classifier, files: Path, tmp_path: Path) -> None:
    sets = [open_image_set(path) for path in (files, stored(files, tmp_path / "store.zarr"))]
    for each in sets:
        assert list(each.names) == names(IMAGES)
        each.check(classifier)
    for lo, hi in ((0, 7), (7, 20)):
        ours, theirs = (Answers.of(classifier, pickle.loads(pickle.dumps(each.part(lo, hi)))) for each in sets)
        assert ours.filename == theirs.filename == tuple(names(IMAGES)[lo:hi])
        assert ours.errors == theirs.errors
        assert set(ours.errors) == ({3} if lo == 0 else set())
        np.testing.assert_array_equal(ours.predictions, theirs.predictions)
        np.testing.assert_array_equal(ours.margins, theirs.margins)


def test_a_parts_file_has_nulls_and_a_reason_for_a_bad_image(
    classifier: Classifier, files: Path, tmp_path: Path
) -> None:
    answers = Answers.of(classifier, open_image_set(files).part(0, 7))
    answers.save(tmp_path / "part.parquet")
    table = pd.read_parquet(tmp_path / "part.parquet")
    assert list(table.columns) == [
        "filename", *(f"{name}.{kind}" for name in ATTRIBUTES for kind in ("prediction", "margin")), "error",
    ]  # fmt: skip
    assert table["Bald.prediction"].isna().tolist() == [row == 3 for row in range(7)]
    assert read_errors(tmp_path / "part.parquet") == (7, [(names(IMAGES)[3], answers.errors[3])])
    assert [file.name for file in tmp_path.iterdir()] == ["part.parquet"]


def test_a_file_name_that_is_no_utf8_is_escaped(classifier: Classifier, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).write_bytes(jpeg(0))
    Answers.of(classifier, open_image_set(tmp_path / "photos").part(0, 1)).save(tmp_path / "part.parquet")
    assert pd.read_parquet(tmp_path / "part.parquet")["filename"].tolist() == [r"caf\xe9.jpg"]


def test_an_image_that_vanishes_has_a_reason_and_the_others_their_answers(
    classifier: Classifier, tmp_path: Path, s3: ObjectStore
) -> None:
    directory = write_small(tmp_path / "files", images=4)
    bucket = UPath("s3://vanishing")
    bucket.mkdir()
    bucket.fs.put(str(directory / "img_align_celeba"), f"{bucket.path}/photos", recursive=True)
    (directory / "img_align_celeba" / "link.jpg").symlink_to(tmp_path / "nowhere")
    for place in (directory, locate("s3://vanishing/photos")):
        part = open_image_set(place).part(0, 4)
        if isinstance(place, Path):
            (place / "img_align_celeba" / names(4)[1]).unlink()
        else:
            (place / names(4)[1]).unlink()
        answers = Answers.of(classifier, part)
        assert set(answers.errors) == {1}
        assert answers.errors[1].startswith("cannot be read: ")


@pytest.mark.parametrize("other", [{"height": 16}, {"crop": "none"}])
def test_a_store_of_another_geometry_is_refused(
    classifier: Classifier, files: Path, tmp_path: Path, other: dict[str, object]
) -> None:
    found = open_image_set(stored(files, tmp_path / "store.zarr", **other))
    with pytest.raises(DataError, match="give the image files instead"):
        found.check(classifier)


def test_the_digest_follows_the_files(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    with pytest.raises(DataError, match=r"no image here \(looked for .jpg"):
        open_image_set(folder)
    (folder / "a.jpg").write_bytes(b"1")
    before = open_image_set(folder).digest
    (folder / "notes.txt").write_text("no image")
    assert open_image_set(folder).digest == before
    (folder / "a.jpg").write_bytes(b"22")
    assert open_image_set(folder).digest != before
    with pytest.raises(DataError, match="expected a folder of images"):
        open_image_set(folder / "a.jpg")
