"""Data at a URL: what is read from a real S3 server is what is read from the folder, and a refusal says why."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from s3fs.core import S3File
from upath import UPath

from lmle_core.celeba import images, remote_images
from lmle_core.celeba.annotations import read_celeba
from lmle_core.celeba.checksums import check_sums
from lmle_core.celeba.images import FOLDER, open_images
from lmle_core.celeba.layout import DataError
from lmle_core.config import Data, load_config
from lmle_core.ingest import create_store, publish
from lmle_core.location import LocationError, locate
from lmle_core.shards import ingest_shard
from lmle_core.store import ImageStore
from tests.lmle_core.celeba.small import jpeg, names, write_small, zip_images
from tests.object_store import PUBLIC, ObjectStore

DATA = Data(height=20, width=16, shard=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("data") / "celeba", images=40)


@pytest.fixture
def bucket(s3: ObjectStore, request: pytest.FixtureRequest) -> Iterator[UPath]:
    bucket = UPath(f"s3://{request.node.originalname.replace('_', '-')[:40].strip('-')}", use_listings_cache=False)
    bucket.mkdir()
    yield bucket
    bucket.fs.rm(bucket.path, recursive=True)


def upload(folder: Path, to: UPath) -> str:
    to.fs.put(str(folder), to.path, recursive=True)
    return str(to)


def ingest(place: Path | str, partial: Path) -> ImageStore:
    for shard in range(create_store(partial, read_celeba(place), DATA)):
        ingest_shard(partial, shard)
    publish(partial)
    return ImageStore.open(partial)


def test_a_store_made_from_s3_is_that_of_the_folder(
    folder: Path, bucket: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_images, "WINDOW", 7)
    url = upload(folder, bucket / "celeba")
    local, remote = ingest(folder, tmp_path / "local.zarr"), ingest(url, tmp_path / "remote.zarr")
    assert remote.digest == local.digest
    assert np.array_equal(remote.images[:], local.images[:])
    assert remote.images.store_path != local.images.store_path
    assert [sum.found for sum in check_sums(url)] == [sum.found for sum in check_sums(folder)][1:]


def test_the_fingerprint_changes_with_an_object_and_not_with_its_copy(folder: Path, bucket: UPath) -> None:
    one, other = upload(folder, bucket / "one"), upload(folder, bucket / "other")
    before = read_celeba(one).fingerprint()
    assert read_celeba(other).fingerprint() == before
    image = bucket / "one" / FOLDER / names(40)[3]
    changed = bytearray(image.read_bytes())
    changed[-3] ^= 1  # as long as before
    image.write_bytes(bytes(changed))
    assert read_celeba(one).fingerprint() != before
    image.unlink()
    with pytest.raises(DataError, match=r"names images that are not in s3://.*000004\.jpg"):
        read_celeba(one)


def test_an_archive_in_s3_is_read_by_ranges_and_known_by_its_content(
    folder: Path, bucket: UPath, tmp_path: Path
) -> None:
    archived = write_small(tmp_path / "celeba", images=40)
    zip_images(archived)
    url = upload(archived, bucket / "celeba")
    assert read_celeba(url).fingerprint() == read_celeba(archived).fingerprint()
    assert ingest(url, tmp_path / "store.zarr").digest == ingest(folder, tmp_path / "local.zarr").digest


def test_no_more_of_an_archive_is_read_than_its_contents_and_what_is_asked_for(
    bucket: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived = write_small(tmp_path / "celeba", images=100)
    zip_images(archived)
    url = upload(archived, bucket / "celeba")
    size, asked = (archived / "img_align_celeba.zip").stat().st_size, []
    fetch = S3File._fetch_range

    def recorded(self: S3File, start: int, end: int) -> bytes:
        asked.append(end - start)
        return fetch(self, start, end)

    monkeypatch.setattr(S3File, "_fetch_range", recorded)
    monkeypatch.setattr(images, "BLOCK", 2000)
    assert open_images(locate(url)).read(names(100)[7]) == jpeg(7)
    assert 0 < sum(asked) < size / 2
    damaged = bytearray((archived / "img_align_celeba.zip").read_bytes())
    damaged[200] ^= 1  # in the first image
    (archived / "img_align_celeba.zip").write_bytes(bytes(damaged))
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        open_images(locate(upload(archived, bucket / "damaged"))).read(names(100)[0])


def test_a_file_url_is_the_path_itself(folder: Path) -> None:
    assert locate(folder.as_uri()) == folder
    assert read_celeba(folder.as_uri()).fingerprint() == read_celeba(folder).fingerprint()
    config = load_config(settings=[f"data.directory={folder.as_uri()}"])
    assert config.data.directory == folder
    assert config.model_dump(mode="json")["data"]["directory"] == str(folder)


def test_a_url_says_where_and_not_what() -> None:
    here, there = (load_config(settings=[f"data.directory={place}"]) for place in ("s3://bucket/celeba", "/data"))
    assert here.digest() == there.digest()
    assert here.model_dump(mode="json")["data"]["directory"] == "s3://bucket/celeba"
    assert type(here).model_validate(here.model_dump(mode="json")) == here


def test_what_cannot_be_reached_is_refused_with_what_to_do(
    s3: ObjectStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="s3://no-such-bucket/celeba does not exist"):
        read_celeba("s3://no-such-bucket/celeba")
    with pytest.raises(ValueError, match="nonsense"):
        read_celeba("nonsense://bucket")
    public = UPath(f"s3://{PUBLIC}", use_listings_cache=False)
    public.mkdir(exist_ok=True)
    url, private = upload(folder, public / "celeba"), UPath("s3://private", use_listings_cache=False)
    private.mkdir()
    s3.become("guest", monkeypatch)
    assert read_celeba(url).filenames == tuple(names(40))
    with pytest.raises(LocationError, match=r"s3://private/x: the storage refuses .*AWS_ACCESS_KEY_ID"):
        read_celeba("s3://private/x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    type(public.fs).clear_instance_cache()
    with pytest.raises(LocationError, match="the storage refuses"):
        read_celeba(url)


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    (tmp_path / "s3fs.py").write_text("raise ImportError('no s3fs here')")
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "--data", "s3://bucket/celeba", "-w", str(tmp_path / "workspace")],
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}", "PATH": ""}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "`make setup` installs it, as does `pip install '.[s3]'`" in ended.stderr
