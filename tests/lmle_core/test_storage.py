"""The storage behind workspaces: what one machine commits another one finds, whole or not at all."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from lmle_core import storage as storage_module
from lmle_core.artefact import MARKER, Reference, committed, make_once
from lmle_core.location import LocationError
from lmle_core.storage import Storage, StorageError
from tests.object_store import ObjectStore

NAME = "stages/letters/0123"
FILES = {"letter.txt": b"dear reader", "more/empty": b"", "more/c/0/0": b"\0" * 5000}


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new storage, a folder by its URL or a prefix of a bucket."""
    if request.param == "file":
        (tmp_path / "shared").mkdir()
        yield (tmp_path / "shared").as_uri()
        return
    request.getfixturevalue("s3")
    bucket = UPath("s3://storage", use_listings_cache=False)
    bucket.mkdir(exist_ok=True)
    place = bucket / tmp_path.name.strip("_").replace("_", "-")
    yield str(place)
    place.fs.rm(bucket.path, recursive=True)


@pytest.fixture
def here(tmp_path: Path, url: str) -> Storage:
    return Storage(tmp_path / "here", url)


@pytest.fixture
def there(tmp_path: Path, url: str) -> Storage:
    return Storage(tmp_path / "there", url)


def make(workspace: Path, files: dict[str, bytes] = FILES) -> Reference:
    def write(partial: Path, record: dict[str, Any]) -> None:
        for name, content in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(content)

    return make_once(workspace / NAME, "letters", {}, write)[0]


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def objects(storage: Storage) -> list[UPath]:
    place = UPath(storage.url, use_listings_cache=False)
    return [UPath(f"{place.protocol}://{name}") for name in sorted(place.fs.find(place.path))]


def test_what_one_machine_makes_another_one_fetches_to_the_byte(here: Storage, there: Storage) -> None:
    here.check()
    assert not there.fetch(there.workspace / NAME)
    make(here.workspace)
    assert here.upload(here.workspace / NAME)
    assert not here.upload(here.workspace / NAME)
    assert there.fetch(there.workspace / NAME)
    assert not there.fetch(there.workspace / NAME)
    assert tree(there.workspace / NAME) == tree(here.workspace / NAME)
    assert make(there.workspace).digest == make(here.workspace).digest
    for name in (*FILES, MARKER):
        made, fetched = (each.workspace / NAME / name for each in (here, there))
        assert fetched.stat().st_mtime_ns == made.stat().st_mtime_ns


def test_an_interrupted_upload_commits_nothing_and_is_done_again(
    here: Storage, there: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here.workspace)
    upload = storage_module._upload

    def interrupted(pairs: list[tuple[Path, Path | UPath]]) -> None:
        upload(pairs[:1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(storage_module, "_upload", interrupted)
        here.upload(here.workspace / NAME)
    assert len(objects(here)) == 1
    assert not here.holds(here.workspace / NAME) and not there.fetch(there.workspace / NAME)
    assert here.upload(here.workspace / NAME) and there.fetch(there.workspace / NAME)


@pytest.mark.parametrize("damage", ["missing", "short", "changed"])
def test_a_damaged_file_is_named_and_nothing_half_is_left(here: Storage, there: Storage, damage: str) -> None:
    make(here.workspace)
    here.upload(here.workspace / NAME)
    (victim,) = (each for each in objects(here) if each.name == "letter.txt")
    match damage:
        case "missing":
            victim.unlink()
        case "short":
            victim.write_bytes(b"dear")
        case "changed":
            victim.write_bytes(b"dear WRITER")
    with pytest.raises(StorageError, match=rf"{NAME} is committed, but .* damaged in .*: 1 \(letter\.txt\)"):
        there.fetch(there.workspace / NAME)
    assert not [path for path in there.workspace.rglob("*") if path.is_dir() and "0123" in path.name]
    (marker,) = (each for each in objects(here) if each.name == MARKER and each.parent.name == "0123")
    marker.unlink()  # as the message says
    assert here.upload(here.workspace / NAME) and there.fetch(there.workspace / NAME)


def test_a_damaged_marker_is_named(here: Storage, there: Storage) -> None:
    make(here.workspace)
    here.upload(here.workspace / NAME)
    (marker,) = (each for each in objects(here) if each.name == MARKER and each.parent.name == "0123")
    marker.write_text(json.dumps({"files": []}))
    with pytest.raises(StorageError, match=f"{NAME}/{MARKER} is damaged"):
        there.fetch(there.workspace / NAME)


def test_two_machines_that_upload_the_same_artefact_with_other_bytes_are_harmless(
    here: Storage, there: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here.workspace)
    make(there.workspace, {**FILES, "letter.txt": b"dear writer"})
    both, upload = threading.Barrier(2), storage_module._upload

    def together(pairs: list[tuple[Path, Path | UPath]]) -> None:
        both.wait(60)
        upload(pairs)

    monkeypatch.setattr(storage_module, "_upload", together)
    threads = [threading.Thread(target=each.upload, args=(each.workspace / NAME,)) for each in (here, there)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    third = Storage(tmp_path / "third", here.url)
    assert third.fetch(third.workspace / NAME)
    assert tree(third.workspace / NAME) in (tree(here.workspace / NAME), tree(there.workspace / NAME))


def test_processes_of_one_machine_fetch_an_artefact_once(here: Storage, there: Storage) -> None:
    make(here.workspace)
    here.upload(here.workspace / NAME)
    fetched: list[bool] = []
    threads = [threading.Thread(target=lambda: fetched.append(there.fetch(there.workspace / NAME))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetched) == [False, False, True]
    assert committed(there.workspace / NAME) is not None


def test_a_storage_that_cannot_be_used_is_refused_before_anything_is_done(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LocationError, match=r"engines\.storage: .*/nowhere: no such folder; make it, or mount"):
        Storage(tmp_path, str(tmp_path / "nowhere")).check()
    with pytest.raises(LocationError, match=r"engines\.storage: s3://no-such-bucket/x: no such bucket"):
        Storage(tmp_path, "s3://no-such-bucket/x").check()
    with pytest.raises(LocationError, match=r"engines\.storage: .*nonsense"):
        Storage(tmp_path, "nonsense://x").check()
    UPath("s3://mine").mkdir(exist_ok=True)
    s3.become("guest", monkeypatch)
    with pytest.raises(LocationError, match=r"engines\.storage: s3://mine/?: the storage refuses"):
        Storage(tmp_path, "s3://mine").check()
