"""Growing data: a store that copies from an earlier one is the store made of nothing, and decodes what is new alone."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmle_core.artefact import committing
from lmle_core.celeba.folders import read_folders
from lmle_core.celeba.layout import DataError
from lmle_core.changes import DataChanges
from lmle_core.config import Data
from lmle_core.earlier import find_earlier, find_previous
from lmle_core.ingest import create_store, ingest_over
from lmle_core.shards import ShardResult, ingest_shard
from lmle_core.store import QUARANTINED, ImageStore, chunk_file
from tests.lmle_core.celeba.small import jpeg, text_table, zip_images

DATA = Data(height=16, width=16, shard=16, quarantine=1)
ATTRIBUTES = ("Bald", "Male")


@dataclass(frozen=True)
class Face:
    """One image of a data set: its pixels come from `seed`, and a negative one makes a damaged file."""

    name: str
    seed: int
    labels: tuple[int, int] = (-1, 1)
    split: int = 0

    @property
    def content(self) -> bytes:
        return jpeg(abs(self.seed), 20, 20)[: -9 if self.seed < 0 else None]


@dataclass
class Folder:
    """A folder in CelebA's layout that follows a list of faces; a file is written where its content changes."""

    path: Path
    faces: list[Face] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    clock: Iterator[int] = field(default_factory=lambda: count(10**18))

    def become(self, faces: list[Face], touched: frozenset[str] = frozenset()) -> None:
        images = self.path / "img_align_celeba"
        images.mkdir(parents=True, exist_ok=True)
        for face in faces:
            if self.written.get(face.name) != face.seed or face.name in touched:
                (images / face.name).write_bytes(face.content)
                now = next(self.clock)
                os.utime(images / face.name, ns=(now, now))
                self.written[face.name] = face.seed
        text_table(self.path / "list_attr_celeba.txt", {each.name: list(each.labels) for each in faces}, ATTRIBUTES)
        text_table(self.path / "list_eval_partition.txt", {each.name: [each.split] for each in faces}, None)
        self.faces = faces


def faces(n: int, first: int = 0) -> list[Face]:
    return [
        Face(f"{i:04}.jpg", i + 1, (1 if i % 3 else -1, 1 if i % 2 else -1), i % 3) for i in range(first, first + n)
    ]


def make(
    store: Path, folder: Path, stores: Path | None = None, data: Data = DATA, more: tuple[Path, ...] = ()
) -> ImageStore:
    """A committed store of a folder; it copies from the earlier ones in `stores`."""
    source = read_folders(folder, more, data.attributes)
    earlier = None if stores is None else find_earlier(stores, source, data)
    with committing(store, "ingest", {}) as (partial, record), ThreadPoolExecutor(2) as pool:
        record["digest"] = ingest_over(pool, partial, source, data, earlier)
    return ImageStore.open(store)


def decoded(store: ImageStore) -> int:
    """How many images the records of the shards say were decoded."""
    results = [ShardResult.load(record) for record in (store.path / "shards").glob("*.json")]
    return sum(result.decoded for result in results if result is not None)


def content(store: ImageStore) -> dict[str, bytes]:
    """Every file of a store, without its history: the records of shards, and the marker that lists their sizes."""
    files = (path for path in store.path.rglob("*") if path.is_file())
    names = {str(path.relative_to(store.path)): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if name[:7] not in ("shards/", "COMMITT")}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data")
    folder.become(faces(40))
    return folder


@pytest.fixture
def stores(tmp_path: Path, folder: Folder) -> Path:
    """A workspace's stores: that of the folder's 40 images, in shards of 16."""
    make(tmp_path / "stores" / "a.zarr", folder.path)
    return tmp_path / "stores"


EDITS = ("append", "append damaged", "insert", "remove", "relabel", "replace", "damage", "repair", "move", "touch")


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    edits=st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 10_000)), max_size=8),
    shard=st.sampled_from((16, 16, 24)),
    first=st.integers(30, 50),
)
def test_a_grown_store_is_the_store_made_of_nothing(
    edits: list[tuple[str, int]], shard: int, first: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("growth")
    folder = Folder(root / "data")
    before = faces(first)
    before[7] = replace(before[7], seed=-8)  # damaged from the start
    folder.become(before)
    earlier = make(root / "stores" / "a.zarr", folder.path)
    after, touched, fresh = list(before), set(), count(500)
    for edit, where in edits:
        at, number = where % len(after), next(fresh)
        face = after[at]
        match edit:
            case "append":
                after.append(Face(f"{number}.jpg", number))
            case "append damaged":
                after.append(Face(f"{number}.jpg", -number))
            case "insert":
                after.insert(at, Face(f"{number}.jpg", number))
            case "remove":
                after.pop(at)
            case "relabel":
                after[at] = replace(face, labels=(-face.labels[0], face.labels[1]))
            case "replace" | "damage":
                after[at] = replace(face, seed=number if edit == "replace" else -number)
            case "repair":
                after[at] = replace(face, seed=abs(face.seed))
            case "move":
                after[at] = replace(face, split=(face.split + 1) % 3)
            case "touch":
                touched.add(face.name)
    folder.become(after, frozenset(touched))
    data = DATA.model_copy(update={"shard": shard})
    grown = make(root / "grown", folder.path, root / "stores", data)
    alone = make(root / "alone", folder.path, None, data)
    assert content(grown) == content(alone)
    assert np.array_equal(np.asarray(grown.images[:]), grown.block(0, grown.n))  # zarr compares the checksums
    was = {face.name: face for face in before}
    assert decoded(alone) == len(after)
    assert decoded(grown) == sum(face.name not in was or was[face.name].seed != face.seed for face in after)

    found = DataChanges.between(earlier, grown)
    both = [(was[face.name], face) for face in after if face.name in was]
    quarantined = {store: set(np.array(store.filenames)[store.split == QUARANTINED]) for store in (earlier, grown)}
    assert {name: images.names for name, images in found.images().items()} == {
        "new": tuple(face.name for face in after if face.name not in was),
        "removed": tuple(face.name for face in before if face.name not in {each.name for each in after}),
        "replaced": tuple(new.name for old, new in both if old.seed != new.seed),
        "relabelled": tuple(new.name for old, new in both if old.labels != new.labels),
        "moved": tuple(
            new.name for old, new in both
            if old.split != new.split and new.name not in quarantined[earlier] | quarantined[grown]
        ),
    }  # fmt: skip
    assert found.labels == {"Bald": sum(old.labels != new.labels for old, new in both), "Male": 0}


def test_what_is_known_is_not_even_read_and_whole_chunks_are_shared(folder: Folder, stores: Path) -> None:
    earlier = ImageStore.open(stores / "a.zarr")
    folder.become(faces(45))
    for face in folder.faces[:40]:  # other bytes, and nothing that tells: whoever reads them stores another image
        file = folder.path / "img_align_celeba" / face.name
        status = file.stat()
        file.write_bytes(bytes(status.st_size))
        os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    grown = make(stores / "b.zarr", folder.path, stores)
    assert decoded(grown) == 5
    assert not (grown.split == QUARANTINED).any()
    assert np.array_equal(grown.block(0, 40), earlier.block(0, 40))
    shared = [chunk_file(grown.path, k).samefile(chunk_file(earlier.path, k)) for k in range(3)]
    assert shared == [True, True, False]
    shutil.rmtree(stores / "a.zarr")  # as `lmle gc` may
    assert np.asarray(ImageStore.open(stores / "b.zarr").images[:]).any()


def test_rows_that_moved_to_other_shards_are_copied(folder: Folder, stores: Path) -> None:
    folder.become([Face("new.jpg", 900), *reversed(faces(40))])
    grown = make(stores / "b.zarr", folder.path, stores, DATA.model_copy(update={"shard": 32}))
    assert decoded(grown) == 1
    assert np.array_equal(grown.block(1, 41), ImageStore.open(stores / "a.zarr").block(0, 40)[::-1])


def _spoil_chunk(store: Path) -> None:
    content = bytearray(chunk_file(store, 0).read_bytes())
    content[100] ^= 1
    chunk_file(store, 0).write_bytes(content)


def _spoil_digests(store: Path) -> None:
    (store / "source_digest" / "c" / "0" / "0").unlink()


@pytest.mark.parametrize(
    ("spoil", "again"),
    [
        (_spoil_chunk, 16),  # its checksum is wrong: only this chunk's images are decoded
        (_spoil_digests, 40),  # a file is missing: the store does not count as committed
        (shutil.rmtree, 40),
    ],
)
def test_a_damaged_or_missing_store_is_made_up_for(
    spoil: Callable[[Path], None], again: int, folder: Folder, stores: Path, tmp_path: Path
) -> None:
    spoil(stores / "a.zarr")
    folder.become(faces(41))
    grown = make(stores / "b.zarr", folder.path, stores)
    assert decoded(grown) == again + 1
    assert content(grown) == content(make(tmp_path / "alone", folder.path))


@pytest.mark.parametrize("spoil", [_spoil_digests, shutil.rmtree])
def test_a_store_that_goes_while_it_is_copied_is_made_up_for(
    spoil: Callable[[Path], None], folder: Folder, stores: Path, tmp_path: Path
) -> None:
    folder.become(faces(41))
    source = read_folders(folder.path)
    earlier = find_earlier(stores, source, DATA)
    assert earlier is not None
    spoil(stores / "a.zarr")
    with committing(tmp_path / "grown", "ingest", {}) as (partial, _), ThreadPoolExecutor(2) as pool:
        ingest_over(pool, partial, source, DATA, earlier)
    assert content(ImageStore.open(tmp_path / "grown")) == content(make(tmp_path / "alone", folder.path))


def test_an_interrupted_growth_goes_on_without_the_earlier_store(folder: Folder, stores: Path, tmp_path: Path) -> None:
    folder.become(faces(41))
    source = read_folders(folder.path)
    earlier = find_earlier(stores, source, DATA)
    assert earlier is not None
    partial = tmp_path / "grown.partial"
    create_store(partial, source, DATA)
    assert ingest_shard(partial, 0, earlier.part(0, 16)).decoded == 0
    (partial / "shards" / "000000.json").rename(partial / "kept")
    assert ingest_shard(partial, 0, earlier.part(0, 16)).decoded == 0  # it was linked, and not recorded yet
    (partial / "kept").unlink()
    shutil.rmtree(stores / "a.zarr")
    with committing(tmp_path / "grown", "ingest", {}, resume=True) as (again, _), ThreadPoolExecutor(2) as pool:
        assert again == partial
        ingest_over(pool, partial, source, DATA)
    grown = ImageStore.open(tmp_path / "grown")
    assert decoded(grown) == 41 - 16
    assert content(grown) == content(make(tmp_path / "alone", folder.path))


def test_other_attributes_share_all_images_and_another_geometry_none(folder: Folder, stores: Path) -> None:
    chosen = make(stores / "b.zarr", folder.path, stores, DATA.model_copy(update={"attributes": ("Male",)}))
    assert (decoded(chosen), chosen.attributes) == (0, ("Male",))
    source = read_folders(folder.path)
    for other in ({"height": 24}, {"crop": "none"}):
        assert find_earlier(stores, source, DATA.model_copy(update=other)) is None


def test_the_store_with_most_of_the_files_serves_and_the_last_of_the_folder_is_compared(
    folder: Folder, stores: Path
) -> None:
    folder.become(faces(20))
    make(stores / "b.zarr", folder.path, stores)
    folder.become(faces(41))
    source = read_folders(folder.path)
    earlier, previous = find_earlier(stores, source, DATA), find_previous(stores, source)
    assert earlier is not None and earlier.path == stores / "a.zarr"
    assert previous is not None and previous.path == stores / "b.zarr"
    changes = DataChanges.between(previous, make(stores / "c.zarr", folder.path, stores))
    assert changes.words() == "21 new"
    changes.save(stores / "c.zarr")
    assert DataChanges.load(stores / "c.zarr") == changes
    assert DataChanges.load(stores / "a.zarr") is None


def test_the_same_files_elsewhere_or_in_a_zip_are_read_and_not_decoded(
    folder: Folder, stores: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder.path, tmp_path / "elsewhere")
    zip_images(tmp_path / "elsewhere")
    moved = make(stores / "b.zarr", tmp_path / "elsewhere", stores)
    assert decoded(moved) == 0
    assert moved.digest == ImageStore.open(stores / "a.zarr").digest


def test_another_folder_is_appended(folder: Folder, stores: Path, tmp_path: Path) -> None:
    second = Folder(tmp_path / "more")
    second.become(faces(5, first=40))
    grown = make(stores / "b.zarr", folder.path, stores, more=(second.path,))
    assert decoded(grown) == 5
    assert grown.folders == ((str(folder.path), 40), (str(second.path), 5))
    folder.become(faces(45))
    assert make(stores / "c.zarr", folder.path, stores).digest == grown.digest


def test_folders_that_do_not_fit_are_refused(folder: Folder, tmp_path: Path) -> None:
    second = Folder(tmp_path / "more")
    second.become([Face("0003.jpg", 1), Face("0039.jpg", 1), Face("x.jpg", 1)])
    with pytest.raises(DataError, match=r"more: expected file names .* found 2 \(0003\.jpg, 0039\.jpg\) again"):
        read_folders(folder.path, [second.path])
    second.become([Face("x.jpg", 1)])
    text_table(second.path / "identity_CelebA.txt", {"x.jpg": [1]}, None)
    with pytest.raises(DataError, match=r"data: expected a table of identities, as .*more has"):
        read_folders(folder.path, [second.path])
    (second.path / "identity_CelebA.txt").unlink()
    text_table(second.path / "list_attr_celeba.txt", {"x.jpg": [1, 1]}, ("Male", "Hat"))
    with pytest.raises(DataError, match=r"only one of them has 2 \(Bald, Hat\)"):
        read_folders(folder.path, [second.path])
    joined = read_folders(folder.path, [second.path], ["Male"])
    assert joined.labels[-1].tolist() == [1]
    assert joined.filenames[-1] == "x.jpg"
