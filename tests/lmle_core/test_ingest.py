"""Ingestion: the stored pixels are those of a loop, shards are done once, and damaged images are set apart."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lmle_core.celeba.annotations import read_celeba
from lmle_core.celeba.layout import DataError
from lmle_core.config import Data
from lmle_core.decode import Geometry, fit, load
from lmle_core.ingest import (
    QuarantineError,
    create_store,
    ingest_over,
    publish,
    read_quarantine,
)
from lmle_core.shards import ShardResult, ingest_shard
from lmle_core.store import ImageStore, chunk_file
from tests.lmle_core.celeba.small import names, picture, write_small, zip_images

DATA = Data(height=20, width=16, shard=16)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_small(tmp_path / "data", images=40)


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "store.zarr"


def ingest(directory: Path, partial: Path, data: Data = DATA, share: float = 1.0) -> str:
    for shard in range(create_store(partial, read_celeba(directory), data)):
        ingest_shard(partial, shard)
    return publish(partial, share)


def state(partial: Path, shard: int) -> tuple[int, bytes, int, bytes]:
    """Times and bytes of a shard's chunk and record."""
    chunk, record = chunk_file(partial, shard), partial / "shards" / f"{shard:06}.json"
    return chunk.stat().st_mtime_ns, chunk.read_bytes(), record.stat().st_mtime_ns, record.read_bytes()


def test_stored_pixels_are_those_of_a_loop(directory: Path, partial: Path) -> None:
    digest = ingest(directory, partial)
    store = ImageStore.open(partial)
    assert store.digest == digest
    for row, name in enumerate(store.filenames):
        image = load((directory / "img_align_celeba" / name).read_bytes(), Geometry(20, 16, "centre"))
        assert np.array_equal(store.block(row, row + 1)[0], image)


def test_a_pool_of_threads_or_of_processes_makes_the_same_store(directory: Path, tmp_path: Path) -> None:
    digest = ingest(directory, tmp_path / "alone")
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2, get_context("spawn")) as processes:
        for name, pool in (("threads", threads), ("processes", processes)):
            assert ingest_over(pool, tmp_path / name, read_celeba(directory), DATA) == digest
            assert state(tmp_path / name, 1)[1] == state(tmp_path / "alone", 1)[1]
        damage(directory)
        with pytest.raises(QuarantineError, match="5 of 40 images"):
            ingest_over(threads, tmp_path / "damaged", read_celeba(directory), DATA)


def test_folder_zip_and_order_of_shards_give_the_same_content(directory: Path, partial: Path, tmp_path: Path) -> None:
    digest = ingest(directory, partial)
    zip_images(directory)
    other = tmp_path / "other.zarr"
    for shard in reversed(range(create_store(other, read_celeba(directory), DATA))):
        ingest_shard(other, shard)
    assert publish(other) == digest


def test_the_digest_follows_pixels_labels_split_and_geometry(directory: Path, tmp_path: Path) -> None:
    digests = [ingest(directory, tmp_path / "0")]
    digests.append(ingest(directory, tmp_path / "1", DATA.model_copy(update={"crop": "none"})))
    digests.append(ingest(directory, tmp_path / "2", DATA.model_copy(update={"shard": 32})))
    for number, name in enumerate(("list_attr_celeba.txt", "list_eval_partition.txt"), 3):
        before = (directory / name).read_text()
        (directory / name).write_text(
            before.replace("000007.jpg -1", "000007.jpg  1").replace("07.jpg  0", "07.jpg  1")
        )
        if (directory / name).read_text() == before:
            (directory / name).write_text(before.replace("000007.jpg  1", "000007.jpg -1"))
        digests.append(ingest(directory, tmp_path / str(number)))
        (directory / name).write_text(before)
    (directory / "img_align_celeba" / "000001.jpg").write_bytes(
        (directory / "img_align_celeba" / "000002.jpg").read_bytes()
    )
    digests.append(ingest(directory, tmp_path / "5"))
    assert len(set(digests)) == 6


@settings(max_examples=15)
@given(images=st.integers(1, 50), shard=st.integers(16, 40), attributes=st.integers(1, 5))
def test_any_number_of_images_goes_through(
    images: int, shard: int, attributes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = write_small(tmp_path_factory.mktemp("any") / "data", images=images, attributes=attributes)
    partial = directory.parent / "store.zarr"
    ingest(directory, partial, DATA.model_copy(update={"shard": shard}))
    store = ImageStore.open(partial)
    assert (store.n, len(store.attributes)) == (images, attributes)
    assert store.block(0, images).any(axis=(1, 2, 3)).all()
    assert np.asarray(store.images[:]).any()  # zarr compares the checksums


def damage(directory: Path) -> dict[str, str]:
    """Spoil five images, each in its own way; file name and what the reason says."""
    folder = directory / "img_align_celeba"
    whole = (folder / "000003.jpg").read_bytes()
    (folder / "000003.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "000011.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    (folder / "000020.jpg").write_bytes(b"")
    (folder / "000021.jpg").write_bytes(b"<html>404</html>")
    (folder / "000040.jpg").write_bytes(whole[:-2])
    return {
        "000003.jpg": "truncated or damaged JPEG",
        "000011.jpg": "truncated or damaged JPEG",
        "000020.jpg": "the file is empty",
        "000021.jpg": "not an image (starts with b'<html>40')",
        "000040.jpg": "Premature end of JPEG file",
    }


def test_damaged_images_are_set_apart_with_name_and_reason(directory: Path, partial: Path) -> None:
    expected = damage(directory)
    ingest(directory, partial)
    store = ImageStore.open(partial)
    listed = {entry["file"]: entry["reason"] for entry in read_quarantine(partial)}
    assert list(listed) == list(expected)
    for name, reason in expected.items():
        assert reason in listed[name]
    for row, name in enumerate(store.filenames):
        assert (store.split[row] == -1) == (name in expected)
        assert store.block(row, row + 1).any() == (name not in expected)
    assert len(np.concatenate([store.rows(split) for split in (0, 1, 2)])) == 35


def test_other_formats_are_taken_and_a_black_shard_is_written(directory: Path, partial: Path) -> None:
    for number, name in enumerate(names(40)):
        image = np.zeros((44, 36, 3), np.uint8) if number < 16 else picture(number)
        Image.fromarray(image).save(directory / "img_align_celeba" / name, "PNG" if number % 2 else "BMP")
    ingest(directory, partial)
    store = ImageStore.open(partial)
    assert not store.block(0, 16).any()
    for row in range(16, 40):
        assert np.array_equal(store.block(row, row + 1)[0], fit(picture(row), 20, 16, "centre"))
    assert read_quarantine(partial) == []


def test_a_damaged_entry_of_an_archive_is_set_apart(directory: Path, partial: Path) -> None:
    zip_images(directory)
    archive = directory / "img_align_celeba.zip"
    data = bytearray(archive.read_bytes())
    data[data.index(b"000002.jpg") + 200] ^= 255
    archive.write_bytes(data)
    ingest(directory, partial)
    assert [entry["file"] for entry in read_quarantine(partial)] == ["000002.jpg"]
    assert "damaged in the archive" in read_quarantine(partial)[0]["reason"]


def test_an_entry_of_an_archive_with_an_unknown_method_is_set_apart(directory: Path, partial: Path) -> None:
    zip_images(directory)
    archive = directory / "img_align_celeba.zip"
    data = bytearray(archive.read_bytes())
    listed = data.rindex(b"000002.jpg") - len(b"img_align_celeba/") - 46  # its entry in the archive's directory
    data[listed + 10] ^= 64
    archive.write_bytes(data)
    ingest(directory, partial)
    assert [entry["file"] for entry in read_quarantine(partial)] == ["000002.jpg"]
    assert "damaged in the archive: That compression method is not supported" in read_quarantine(partial)[0]["reason"]


def test_too_many_damaged_images_stop_before_publication(directory: Path, partial: Path) -> None:
    expected = damage(directory)
    with pytest.raises(QuarantineError) as caught:
        ingest(directory, partial, share=0.1)
    message = str(caught.value)
    assert "5 of 40 images cannot be decoded, over data.quarantine = 0.1" in message
    for name, reason in expected.items():
        assert name in message
        assert reason in message
    with pytest.raises(DataError, match="was not published"):
        ImageStore.open(partial)
    assert publish(partial, share=0.125)


def test_a_finished_shard_is_left_alone_and_an_unfinished_one_done(directory: Path, partial: Path) -> None:
    source = read_celeba(directory)
    assert create_store(partial, source, DATA) == 3
    result = ingest_shard(partial, 0)
    ingest_shard(partial, 1)
    before = state(partial, 0)
    record = partial / "shards" / "000001.json"
    record.write_text(record.read_text()[:20])  # as a writer without atomic renames would leave it
    (partial / "images" / "c" / "2" / "0" / "0").mkdir(parents=True)
    chunk_file(partial, 2).write_bytes(b"torn")
    with pytest.raises(DataError, match=r"not ingested yet: 2 \(1, 2\)"):
        publish(partial)
    assert create_store(partial, source, DATA) == 3
    assert ingest_shard(partial, 0) == result
    for shard in (1, 2):
        ingest_shard(partial, shard)
    digest = publish(partial)
    assert state(partial, 0) == before
    shutil.rmtree(partial)
    assert ingest(directory, partial) == digest


def test_an_interrupted_ingestion_goes_on_from_where_the_folder_lies_now(directory: Path, partial: Path) -> None:
    create_store(partial, read_celeba(directory), DATA)
    ingest_shard(partial, 0)
    moved = directory.rename(directory.with_name("moved"))
    ingest(moved, partial)
    expected = ingest(moved, partial.with_name("whole.zarr"))
    assert publish(partial) == expected


def test_a_layout_cut_off_while_it_was_made_is_made_anew(directory: Path, partial: Path) -> None:
    source = read_celeba(directory)
    create_store(partial, source, DATA)
    (partial / "CREATED").unlink()
    shutil.rmtree(partial / "split")
    ingest(directory, partial)
    assert np.array_equal(ImageStore.open(partial).split, source.split)


def test_publishing_again_changes_nothing(directory: Path, partial: Path) -> None:
    damage(directory)
    digest = ingest(directory, partial)
    assert publish(partial) == digest


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: bytes(len(content)),  # the right size, but the pixels never reached the disk
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ],
)
def test_a_shard_that_does_not_read_back_is_redone(
    directory: Path, partial: Path, spoil: Callable[[bytes], bytes]
) -> None:
    digest = ingest(directory, partial)
    file = chunk_file(partial, 1)
    file.write_bytes(spoil(file.read_bytes()))
    others = state(partial, 0), state(partial, 2)
    with pytest.raises(DataError, match="does not read back as it was written"):
        publish(partial)
    assert ingest(directory, partial) == digest
    assert (state(partial, 0), state(partial, 2)) == others


def test_two_workers_given_the_same_shard_write_it_once(directory: Path, partial: Path) -> None:
    create_store(partial, read_celeba(directory), DATA)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: (ingest_shard(partial, 0), state(partial, 0)), range(4)))
    assert all(result == results[0] for result in results)


def test_trouble_with_the_disk_is_not_the_images_fault(directory: Path, partial: Path) -> None:
    create_store(partial, read_celeba(directory), DATA)
    file = directory / "img_align_celeba" / "000005.jpg"
    data = file.read_bytes()
    file.unlink()
    file.mkdir()
    with pytest.raises(IsADirectoryError, match=r"000005\.jpg"):
        ingest_shard(partial, 0)
    assert not (partial / "shards" / "000000.json").exists()
    file.rmdir()
    file.write_bytes(data)
    assert ingest_shard(partial, 0).quarantined == ()


@given(
    quarantined=st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=3).map(tuple),
    digest=st.text(),
)
@settings(max_examples=30)
def test_a_record_is_read_as_it_was_written(
    quarantined: tuple[tuple[str, str], ...], digest: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("record") / "0.json"
    result = ShardResult(3, 16, 2, digest, quarantined)
    result.save(path)
    assert ShardResult.load(path) == result
    assert json.loads(path.read_text())["shard"] == 3
