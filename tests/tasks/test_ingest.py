"""Data in over Dask: the same bytes for any number of workers, after a kill, and after the death of a worker."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed import Client

from lmle_core.artefact import read_commit
from lmle_core.celeba.annotations import read_celeba
from lmle_core.changes import DataChanges
from lmle_core.config import Data, Engines
from lmle_core.ingest import QuarantineError
from lmle_core.store import ImageStore, chunk_bytes, chunk_file
from tasks.dask_cluster import dask_client
from tasks.ingest import ingest
from tests.lmle_core.celeba.small import jpeg, write_small

IMAGES, SHARDS = 200, 13
DATA = Data(height=20, width=16, shard=16)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with dask_client(Engines(dask_workers=2, dask_memory="3GiB")) as client:
        yield client


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_small(tmp_path / "data", images=IMAGES)


def shards(store: Path) -> dict[int, tuple[int, bytes, int, bytes]]:
    """Times and bytes of chunk and record of each finished shard."""
    states = {}
    for record in sorted((store / "shards").glob("*.json")):
        chunk = chunk_file(store, int(record.stem))
        states[int(record.stem)] = (
            chunk.stat().st_mtime_ns, chunk.read_bytes(), record.stat().st_mtime_ns, record.read_bytes(),
        )  # fmt: skip
    return states


def test_a_data_set_becomes_a_committed_store_once(
    directory: Path, tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[int, int]] = []
    reference = ingest(directory, DATA, tmp_path, lambda: client, lambda done, images: told.append((done, images)))
    assert len(told) == SHARDS
    assert told[-1] == (IMAGES, IMAGES)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    path = Path(reference.path)
    assert path.parent == tmp_path / "stores"
    assert path.suffix == ".zarr"
    commit = read_commit(path)
    assert commit is not None
    assert commit["published_files"]["list_attr_celeba.txt"] is False
    store = ImageStore.open(path)
    assert store.digest == reference.digest
    assert np.array_equal(store.labels, read_celeba(directory).labels)
    before = shards(path)
    again = ingest(directory, DATA, tmp_path, lambda: client, lambda done, images: told.append((done, images)))
    assert again == reference
    ended = [record.message for record in caplog.records if hasattr(record, "found")]
    assert [message.partition(" in ")[0] for message in ended] == ["ingest       done", "ingest       found done"]
    assert len(told) == SHARDS
    assert shards(path) == before


def test_a_grown_data_set_decodes_what_is_new_and_says_what_changed(
    directory: Path,
    tmp_path: Path,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = ingest(directory, DATA, tmp_path, lambda: client)
    partition = directory / "list_eval_partition.txt"
    partition.write_text(partition.read_text().replace("000002.jpg  1", "000002.jpg  2"))
    more = write_small(tmp_path / "more", images=20, seed=1)
    for name in ("list_attr_celeba", "list_attr_clean_celeba", "list_eval_partition", "identity_CelebA"):
        table = more / f"{name}.txt"
        table.write_text(table.read_text().replace("0000", "1000"))
    landmarks = more / "list_landmarks_align_celeba.txt"
    landmarks.write_text(landmarks.read_text().replace("0000", "1000"))
    for image in list((more / "img_align_celeba").iterdir()):
        image.rename(image.with_name(f"1{image.name[1:]}"))
    room: list[int] = []
    monkeypatch.setattr("tasks.ingest.check_room", lambda _, size, __: room.append(size))
    with caplog.at_level("INFO", "lmle"):
        grown = ingest(directory, DATA, tmp_path, lambda: client, more=[more])
    commit = read_commit(Path(grown.path))
    assert commit is not None
    assert (commit["decoded"], commit["copied_shards"]) == (20, 12)  # the last shard of the 200 was not full
    assert room == [2 * chunk_bytes((IMAGES + 20, 3, 20, 16), 16)]
    assert [message for message in caplog.messages if message.startswith("data ")] == [
        "data         20 new, 1 moved; 12 of 14 shards copied"
    ]
    changes = DataChanges.load(Path(grown.path))
    assert changes is not None
    assert (changes.previous, changes.moved.names) == (before.digest, ("000002.jpg",))
    assert changes.new.names[0] == "100001.jpg"
    alone = ingest(directory, DATA, tmp_path / "alone", lambda: client, more=[more])
    assert alone.digest == grown.digest
    assert DataChanges.load(Path(alone.path)) is None


def test_one_worker_or_two_give_the_same_bytes(directory: Path, tmp_path: Path, client: Client) -> None:
    two = ingest(directory, DATA, tmp_path / "two", lambda: client)
    with dask_client(Engines(dask_workers=1, dask_memory="3GiB")) as single:
        one = ingest(directory, DATA, tmp_path / "one", lambda: single)
    assert one.digest == two.digest
    assert [state[1::2] for state in shards(Path(one.path)).values()] == [
        state[1::2] for state in shards(Path(two.path)).values()
    ]


def test_chosen_attributes_are_stored_in_their_order(directory: Path, tmp_path: Path, client: Client) -> None:
    data = DATA.model_copy(update={"attributes": ("Attribute_2", "Attribute_0")})
    store = ImageStore.open(ingest(directory, data, tmp_path, lambda: client).path)
    assert store.attributes == ("Attribute_2", "Attribute_0")
    assert np.array_equal(store.labels, read_celeba(directory).labels[:, [2, 0]])


def test_a_killed_worker_loses_nothing(directory: Path, tmp_path: Path, client: Client) -> None:
    undisturbed = ingest(directory, DATA, tmp_path / "undisturbed", lambda: client)
    victims = sorted(client.run(os.getpid).values())
    told: list[int] = []

    def kill_one(done: int, images: int) -> None:
        if not told:
            os.kill(victims[0], signal.SIGKILL)
        told.append(done)

    reference = ingest(directory, DATA, tmp_path / "disturbed", lambda: client, kill_one)
    assert reference.digest == undisturbed.digest
    assert told[-1] == IMAGES


RUN = """
import sys
from pathlib import Path

from lmle_core.config import Data, Engines
from tasks.dask_cluster import dask_client
from tasks.ingest import ingest

if __name__ == "__main__":
    with dask_client(Engines(dask_workers=1, dask_memory="3GiB")) as client:
        data = Data(height=20, width=16, shard=16)
        ingest(Path(sys.argv[1]), data, Path(sys.argv[2]), lambda: client, lambda done, images: print(done, flush=True))
"""


def test_after_kill_9_the_run_goes_on_and_no_shard_is_done_twice(
    directory: Path, tmp_path: Path, client: Client
) -> None:
    undisturbed = ingest(directory, DATA, tmp_path / "undisturbed", lambda: client)
    # A pipe in the place of an image holds up the one worker in the middle of shard 3, until somebody writes to it.
    pipe = directory / "img_align_celeba" / "000055.jpg"
    pipe.unlink()
    os.mkfifo(pipe)
    (tmp_path / "run.py").write_text(RUN)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(directory), str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["16\n", "32\n", "48\n"]
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    (partial,) = (tmp_path / "killed" / "stores").glob("*.partial")
    finished = shards(partial)
    assert list(finished) == [0, 1, 2]

    _, alive = psutil.wait_procs(workers, 60)  # workers follow their client by themselves, and none may read the pipe
    assert not alive
    threading.Thread(target=pipe.write_bytes, args=[jpeg(54)], daemon=True).start()
    reference = ingest(directory, DATA, tmp_path / "killed", lambda: client)
    assert reference.path == str(partial).removesuffix(".partial")
    assert not partial.exists()
    after = shards(Path(reference.path))
    assert len(after) == SHARDS
    assert {shard: after[shard] for shard in finished} == finished
    assert reference.digest == undisturbed.digest


def test_too_many_damaged_images_stop_the_run_and_a_larger_share_continues_it(
    directory: Path, tmp_path: Path, client: Client
) -> None:
    for number in range(1, IMAGES, 20):  # 10 images, 5 %
        file = directory / "img_align_celeba" / f"{number:06}.jpg"
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(QuarantineError, match=r"of 200 images cannot be decoded.*1\.jpg: truncated") as caught:
        ingest(directory, DATA, tmp_path, lambda: client)
    assert "data.quarantine = 0.01" in str(caught.value)
    (partial,) = (path for path in (tmp_path / "stores").iterdir() if path.is_dir())
    assert partial.name.endswith(".partial")
    finished = shards(partial)
    tolerant = DATA.model_copy(update={"quarantine": 0.05})
    reference = ingest(directory, tolerant, tmp_path, lambda: client)
    after = shards(Path(reference.path))
    assert {shard: after[shard] for shard in finished} == finished
    store = ImageStore.open(reference.path)
    assert (store.split == -1).sum() == 10
    with pytest.raises(QuarantineError, match="10 of 200 images"):
        ingest(directory, DATA, tmp_path, lambda: client)
