"""What an earlier store has already of a data set: images that a new store copies and does not decode again.

A file is taken for the same where its folder, name, size and time of change (checksum in a zip) are; it is then not
even read. Any other file of a known name is read, and decoded where its bytes differ.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import PIL
import simplejpeg
import zarr

from lmle_core.artefact import MARKER, code_version, committed, digest_of
from lmle_core.celeba.annotations import CelebA
from lmle_core.celeba.layout import DataError
from lmle_core.config import Data
from lmle_core.store import DIGEST_BYTES, QUARANTINE, ImageStore, array, chunk_file, is_intact, map_chunk


@dataclass(frozen=True, eq=False)
class Earlier:
    """Rows of a committed store that may serve N rows of a new one. Small: it travels to the workers.

    Attributes:
        path: of the committed store; it may be gone, or damaged, when it is opened.
        rows: where the image of the same name is, shape (N,), int64; -1: nowhere.
        same: whether its file is the same, shape (N,), bool.
    """

    path: Path
    rows: np.ndarray
    same: np.ndarray

    def part(self, lo: int, hi: int) -> "Earlier":
        """The same for the rows lo to hi - 1 of the new store."""
        return Earlier(self.path, self.rows[lo:hi], self.same[lo:hi])

    def open(self) -> "EarlierImages":
        """Map the chunks of these rows, each verified by its checksum."""
        try:
            return _open(self)
        except (OSError, DataError, ValueError):  # removed since it was found
            return EarlierImages.none(len(self.rows))


@dataclass(frozen=True, eq=False)
class EarlierImages:
    """Images of an earlier store for N rows of a new one.

    Attributes:
        rows: as in `Earlier`; -1 also where the checksum is not right.
        same: likewise, False there.
        digests: of the image files, shape (N, 16), uint8; zeros where `rows` is -1.
        reasons: of the earlier store's quarantined images, by name; their pixels are zeros.
        chunks: file and content, shape (images, 3, H, W), of each chunk that has some of the rows.
        shard: images in a chunk.
    """

    rows: np.ndarray
    same: np.ndarray
    digests: np.ndarray
    reasons: dict[str, str]
    chunks: dict[int, tuple[Path, np.ndarray]]
    shard: int

    @classmethod
    def none(cls, n: int) -> "EarlierImages":
        """Of no store: n rows that are nowhere."""
        digests = np.zeros((n, DIGEST_BYTES), np.uint8)
        return cls(np.full(n, -1), np.zeros(n, bool), digests, {}, {}, 1)

    def copy(self, chosen: np.ndarray, out: np.ndarray) -> None:
        """Copy the images of the chosen rows (shape (N,), bool) to the same places of `out`, shape (N, 3, H, W)."""
        for number, (_, images) in self.chunks.items():
            here = np.flatnonzero(chosen & (self.rows // self.shard == number))
            out[here] = images[self.rows[here] % self.shard]

    def whole_chunk(self, shard: int) -> tuple[Path, np.ndarray] | None:
        """The chunk that the rows are, all of it and in its order, where chunks have `shard` images; as in `chunks`."""
        if shard != self.shard or len(self.chunks) != 1:
            return None
        ((number, (file, images)),) = self.chunks.items()
        lo = number * self.shard
        return (file, images) if np.array_equal(self.rows, np.arange(lo, lo + len(images))) else None


def find_earlier(stores: Path, source: CelebA, data: Data) -> Earlier | None:
    """The committed store that shares most files with a data set, and whose images were decoded alike.

    Args:
        stores: a directory of committed stores, `*.zarr`.
        source: the data set.
        data: geometry of the new store; shards may be of another size.

    Returns:
        None where no store has an image of the same name. Of stores that share as many files, the newest.
    """
    best, most = None, (0, 0)
    for store in _committed_stores(stores):
        alike = store.crop == data.crop and store.shape == (3, data.height, data.width)
        if alike and store.decoder == decoder_version():
            found = _matched(store, source)
            shared = int(found.same.sum()), int((found.rows >= 0).sum())
            if shared > most:
                best, most = found, shared
    return best


def find_previous(stores: Path, source: CelebA) -> ImageStore | None:
    """The store that was made last of a data set's (first) folder, of any geometry; None where there is none."""
    folder = str(source.directory.absolute())
    return next((store for store in _committed_stores(stores) if store.folders[0][0] == folder), None)


def decoder_version() -> str:
    """Identifies what turns a file's bytes into pixels: code and libraries."""
    libraries = (cv2.__version__, PIL.__version__, simplejpeg.__version__)
    return digest_of([code_version("lmle_core.decode"), *libraries])


def _committed_stores(stores: Path) -> Iterator[ImageStore]:
    """Committed stores that know their files, newest first; one that vanishes meanwhile is passed over."""
    markers = []
    for marker in stores.glob(f"*.zarr/{MARKER}"):
        with suppress(FileNotFoundError):
            markers.append((marker.stat().st_mtime_ns, marker.parent))
    for _, path in sorted(markers, reverse=True):
        if committed(path) is None:
            continue
        with suppress(DataError, OSError):
            store = ImageStore.open(path)
            if store.folders:
                yield store


def _matched(store: ImageStore, source: CelebA) -> Earlier:
    row_of = {name: row for row, name in enumerate(store.filenames)}
    rows = np.array([row_of.get(name, -1) for name in source.filenames], np.int64)
    there = np.flatnonzero(rows >= 0)
    folders = np.repeat([str(folder.absolute()) for folder, _ in source.folders], [n for _, n in source.folders])
    earlier_folders = np.repeat([folder for folder, _ in store.folders], [n for _, n in store.folders])
    same = np.zeros(len(rows), bool)
    same[there] = (folders[there] == earlier_folders[rows[there]]) & (
        np.array(source.stamps, np.int64)[there] == store.stamps()[rows[there]]
    ).all(axis=1)
    return Earlier(store.path, rows, same)


def _open(earlier: Earlier) -> EarlierImages:
    group = zarr.open_group(earlier.path, mode="r", zarr_format=3)
    images, stored_digests = array(group, "images"), array(group, "source_digest")
    shard = images.chunks[0]
    rows, digests = np.full(len(earlier.rows), -1), np.zeros((len(earlier.rows), DIGEST_BYTES), np.uint8)
    chunks = {}
    for number in np.unique(earlier.rows[earlier.rows >= 0] // shard).tolist():
        file = chunk_file(earlier.path, number)
        status = file.stat()
        if not _verified(file, status.st_ino, status.st_mtime_ns):
            continue
        lo, hi = number * shard, min(images.shape[0], (number + 1) * shard)
        chunks[number] = file, map_chunk(file, (shard, *images.shape[1:]))[: hi - lo]
        here = np.flatnonzero(earlier.rows // shard == number)
        rows[here] = earlier.rows[here]
        digests[here] = np.asarray(stored_digests[lo:hi])[rows[here] - lo]
    rows[~digests.any(axis=1)] = -1  # the file was unreadable; or its digest is gone, which reads as zeros
    reasons = {entry["file"]: entry["reason"] for entry in json.loads((earlier.path / QUARANTINE).read_text())}
    return EarlierImages(rows, earlier.same & (rows >= 0), digests, reasons, chunks, shard)


@cache
def _verified(file: Path, _inode: int, _changed: int) -> bool:
    """Whether a chunk's checksum is right, looked at once in a process."""
    return is_intact(file)
