"""The image store: memory maps read what zarr reads, and what is missing or damaged is seen."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.celeba.annotations import read_celeba
from lmle_core.celeba.layout import DataError
from lmle_core.config import Data
from lmle_core.ingest import create_store, publish
from lmle_core.shards import ingest_shard
from lmle_core.store import ImageStore, chunk_file, is_intact
from tests.lmle_core.celeba.small import names, write_small

IMAGES = 40
DATA = Data(height=24, width=20, shard=16)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    source = read_celeba(write_small(directory / "data", images=IMAGES))
    path = directory / "store.zarr"
    for shard in range(create_store(path, source, DATA)):
        ingest_shard(path, shard)
    publish(path)
    return path


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "store.zarr")


def test_a_store_tells_what_the_source_says(published: Path) -> None:
    store = ImageStore.open(published)
    source = read_celeba(published.parent / "data")
    assert (store.n, store.shape, store.shard) == (IMAGES, (3, 24, 20), 16)
    assert store.attributes == source.attributes
    assert list(store.filenames) == names(IMAGES)
    for name in ("labels", "split", "identity", "landmarks", "clean_labels"):
        assert np.array_equal(getattr(store, name), getattr(source, name))
        assert getattr(store, name).dtype == getattr(source, name).dtype
    for split in (0, 1, 2):
        assert store.rows(split).tolist() == [row for row in range(IMAGES) if source.split[row] == split]
    assert store.rows(0).dtype == np.int64


@given(bounds=st.tuples(st.integers(0, IMAGES), st.integers(0, IMAGES)).map(sorted))
def test_a_block_is_what_zarr_reads(bounds: list[int], published: Path) -> None:
    store = ImageStore.open(published)
    lo, hi = bounds
    block = store.block(lo, hi)
    assert block.flags.writeable
    assert np.array_equal(block, np.asarray(store.images[lo:hi]))


@given(rows=st.lists(st.integers(0, IMAGES - 1), max_size=60))
def test_gathered_rows_are_what_zarr_reads(rows: list[int], published: Path) -> None:
    store = ImageStore.open(published)
    images = np.asarray(store.images[:])
    gathered = store.gather(rows)
    assert gathered.shape == (len(rows), 3, 24, 20)
    for position, row in enumerate(rows):
        assert np.array_equal(gathered[position], images[row])


def test_rows_outside_are_refused(published: Path) -> None:
    store = ImageStore.open(published)
    for lo, hi in ((-1, 3), (3, 2), (0, IMAGES + 1)):
        with pytest.raises(IndexError, match=f"0 <= lo <= hi <= {IMAGES}"):
            store.block(lo, hi)
    for rows in ([-1], [0, IMAGES]):
        with pytest.raises(IndexError, match=f"from 0 to {IMAGES - 1}"):
            store.gather(rows)


def test_a_store_pickles_as_its_path(published: Path) -> None:
    store = ImageStore.open(published)
    pickled = pickle.dumps(store)
    assert len(pickled) < 1000
    assert np.array_equal(pickle.loads(pickled).block(0, IMAGES), store.block(0, IMAGES))


def test_chunk_files_are_raw_pixels_with_a_tail(published: Path) -> None:
    store = ImageStore.open(published)
    raw = chunk_file(published, 2).read_bytes()
    assert len(raw) == 16 * 3 * 24 * 20 + 4
    assert raw[: 8 * 3 * 24 * 20] == store.block(32, 40).tobytes()
    assert not any(raw[8 * 3 * 24 * 20 : -4])


def test_a_missing_chunk_is_an_error_and_not_zeros(copy: Path) -> None:
    chunk_file(copy, 1).unlink()
    assert not np.asarray(zarr.open_group(copy, mode="r")["images"][16:32]).any()  # type: ignore[index]  # the trap
    with pytest.raises(DataError, match=r"missing or not 23044 bytes: 1 \(images/c/1/0/0/0\)"):
        ImageStore.open(copy)


def test_a_short_chunk_is_an_error(copy: Path) -> None:
    file = chunk_file(copy, 2)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="images/c/2/0/0/0"):
        ImageStore.open(copy)


OPENED = """
import resource, sys
from lmle_core.store import ImageStore
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[2])))
print(ImageStore.open(sys.argv[1]).block(0, 40).sum(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_more_chunks_than_files_may_be_open_are_opened_or_refused_with_the_limit(published: Path) -> None:
    def opened(most: int) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", OPENED, str(published), str(most)]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    assert opened(1024).stdout == f"{ImageStore.open(published).block(0, IMAGES).sum()} (1024, 1024)\n"
    assert "its 3 chunks are more files than a process may have open here (256): raise the limit" in opened(256).stderr


def test_zarr_reads_it_and_finds_a_flipped_bit(copy: Path) -> None:
    store = ImageStore.open(copy)
    assert np.array_equal(np.asarray(store.images[:]), store.block(0, store.n))
    file = chunk_file(copy, 1)
    damaged = bytearray(file.read_bytes())
    damaged[1234] ^= 1
    file.write_bytes(damaged)
    assert not is_intact(file)
    with pytest.raises(ValueError, match="checksum"):
        ImageStore.open(copy).images[:]


def test_what_is_no_published_store_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image store"):
        ImageStore.open(tmp_path / "nowhere.zarr")
    group = zarr.open_group(copy, mode="r+")
    del group.attrs["digest"]
    with pytest.raises(DataError, match="was not published"):
        ImageStore.open(copy)
    group.attrs["format"] = "other"
    with pytest.raises(DataError, match="expected an image store of format lmle-images/1, found 'other'"):
        ImageStore.open(copy)
    group.attrs["format"] = "lmle-images/1"
    group.attrs["digest"] = "0"
    shutil.rmtree(copy / "split")
    with pytest.raises(DataError, match="expected an array 'split'"):
        ImageStore.open(copy)
