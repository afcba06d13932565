"""The image store: one zarr v3 group of decoded images and their annotations, read through memory maps.

`images` is (N, 3, H, W) uint8 in chunks of one shard each, uncompressed, with a crc32c tail of 4 bytes: a chunk file is
raw pixels, valid zarr and mappable at once. Reading through the map skips zarr, and with it the checksum, which is
verified when the store is published.
"""

import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import google_crc32c
import numpy as np
import zarr
from numpy.typing import ArrayLike

from lmle_core.celeba.layout import DataError, enumerate_names

FORMAT = "lmle-images/1"
QUARANTINE = "quarantine.json"
CHECKSUM_BYTES, DIGEST_BYTES = 4, 16
OTHER_FILES = 256
"""That a process has open beside the chunks of a store."""
TRAIN, VALID, TEST, QUARANTINED = 0, 1, 2, -1


@dataclass(frozen=True, eq=False)
class ImageStore:
    """A published image store: N images, A attributes. Pickles as its path.

    What it has of each image beside the pixels is read when it is asked for: who needs pixels alone reads no names.

    Attributes:
        path: the group's directory.
        images: the zarr array, shape (N, 3, H, W), uint8, RGB; `block` and `gather` read it faster.
        attributes: A names.
        digest: identifies the content: pixels, names, labels, split and geometry.
        shard: images in a chunk.
        crop: as in `lmle_core.decode.Geometry`.
        decoder: what the images were decoded by; '' where the store does not know its files.
        folders: where the image files were, and how many of the rows come from each, in the order of the rows.
    """

    path: Path
    images: zarr.Array[Any] = field(repr=False)
    attributes: tuple[str, ...]
    digest: str
    shard: int
    crop: str
    decoder: str
    folders: tuple[tuple[str, int], ...]
    _group: zarr.Group = field(repr=False)
    _chunks: tuple[np.ndarray, ...] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a published store and map its chunks.

        Raises:
            DataError: if there is no published store, or a chunk is missing or has a wrong size (zarr would read a
                missing chunk as zeros), or there are more chunks than files may be open.
        """
        path = Path(path)
        try:
            group = zarr.open_group(path, mode="r", zarr_format=3)
        except FileNotFoundError:
            raise DataError(f"{path}: no image store; make one by ingestion (lmle run)") from None
        about = group.attrs.asdict()
        if about.get("format") != FORMAT:
            raise DataError(f"{path}: expected an image store of format {FORMAT}, found {about.get('format')!r}")
        if "digest" not in about:
            raise DataError(f"{path}: the store was not published, its ingestion was interrupted; run it again")
        images, *_ = [array(group, name) for name in ("images", "attributes", "split", "filename")]
        shard = images.chunks[0]
        return cls(
            path=path,
            images=images,
            attributes=tuple(str(name) for name in about["attributes"]),  # type: ignore[union-attr]
            digest=str(about["digest"]),
            shard=shard,
            crop=str(about["crop"]),
            decoder=str(about.get("decoder", "")),
            folders=folders_of(about),
            _group=group,
            _chunks=_map_chunks(path, images.shape, shard),
        )

    def __reduce__(self) -> tuple[Callable[[Path], Self], tuple[Path]]:
        return type(self).open, (self.path,)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each image and attribute, shape (N, A), int8."""
        return _whole(self._group, "attributes")

    @cached_property
    def split(self) -> np.ndarray:
        """Shape (N,), int8: 0 train, 1 valid, 2 test, -1 quarantined, whose pixels are zeros."""
        return _whole(self._group, "split")

    @cached_property
    def identity(self) -> np.ndarray | None:
        """Whose face each is, shape (N,), int32, or None."""
        return _whole(self._group, "identity") if "identity" in self._group else None

    @cached_property
    def landmarks(self) -> np.ndarray | None:
        """Shape (N, 10), int16, in pixels of the source image, or None."""
        return _whole(self._group, "landmarks") if "landmarks" in self._group else None

    @cached_property
    def clean_labels(self) -> np.ndarray | None:
        """As `labels`, before label noise, or None."""
        return _whole(self._group, "clean_attributes") if "clean_attributes" in self._group else None

    @cached_property
    def filenames(self) -> list[str]:
        """N names."""
        return [str(name) for name in array(self._group, "filename")[:]]  # type: ignore[union-attr]

    @property
    def n(self) -> int:
        """Number of images, quarantined ones included."""
        return self.images.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (3, H, W)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def rows(self, split: int) -> np.ndarray:
        """Row numbers of a split (0 train, 1 valid, 2 test), ascending, int64."""
        return np.flatnonzero(self.split == split)

    def block(self, lo: int, hi: int) -> np.ndarray:
        """Images lo to hi - 1, shape (hi - lo, 3, H, W), uint8, a copy.

        Raises:
            IndexError: unless 0 <= lo <= hi <= n.
        """
        if not 0 <= lo <= hi <= self.n:
            raise IndexError(f"block({lo}, {hi}): expected 0 <= lo <= hi <= {self.n}")
        images = np.empty((hi - lo, *self.shape), np.uint8)
        for start in range(lo - lo % self.shard, hi, self.shard):
            first, last = max(lo, start), min(hi, start + self.shard)
            images[first - lo : last - lo] = self._chunks[start // self.shard][first - start : last - start]
        return images

    def gather(self, indices: ArrayLike) -> np.ndarray:
        """Images of any rows in any order, repeats allowed, shape (len, 3, H, W), uint8.

        Raises:
            IndexError: for an index outside 0 to n - 1.
        """
        rows = np.asarray(indices, np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.n):
            raise IndexError(f"gather: expected indices from 0 to {self.n - 1}, found {rows.min()} to {rows.max()}")
        images = np.empty((len(rows), *self.shape), np.uint8)
        for position, row in enumerate(rows.tolist()):
            images[position] = self._chunks[row // self.shard][row % self.shard]
        return images

    def stamps(self) -> np.ndarray:
        """What identified each image file without reading it, shape (N, 2), int64: see `CelebA.stamps`."""
        return _whole(self._group, "stamp")

    def source_digests(self) -> np.ndarray:
        """The first 16 bytes of each image file's SHA-256, shape (N, 16), uint8; zeros where it could not be read."""
        return _whole(self._group, "source_digest")


def folders_of(about: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """`ImageStore.folders` from a group's attributes; a store that does not know its files has none."""
    return tuple((str(folder), int(rows)) for folder, rows in about.get("folders", ()))


def array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of a group. Raises DataError."""
    found = group.get(name)
    if not isinstance(found, zarr.Array):
        raise DataError(f"{group.store_path}: expected an array {name!r}, found {found!r}")
    return found


def chunk_file(path: Path, shard: int) -> Path:
    """The file of a shard's chunk."""
    return path / "images" / "c" / str(shard) / "0" / "0" / "0"


def is_intact(file: Path) -> bool:
    """Whether a chunk file has its checksum; zarr's reader looks too, in ten times the time."""
    content = np.memmap(file, np.uint8, "r")
    checksum = int.from_bytes(content[-CHECKSUM_BYTES:].tobytes(), "little")
    return int(google_crc32c.value(content[:-CHECKSUM_BYTES])) == checksum


def map_chunk(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The images of a chunk file, shape (shard, 3, H, W), mapped; the padding of the last one too."""
    return np.asarray(np.memmap(file, np.uint8, "r", shape=shape))


def chunk_bytes(shape: tuple[int, ...], shard: int) -> int:
    """Size of each chunk file: a whole shard (the last one is padded) and its checksum."""
    return shard * int(np.prod(shape[1:])) + CHECKSUM_BYTES


def _map_chunks(path: Path, shape: tuple[int, ...], shard: int) -> tuple[np.ndarray, ...]:
    expected = chunk_bytes(shape, shard)
    files = [chunk_file(path, number) for number in range(-(-shape[0] // shard))]
    wrong = [str(file.relative_to(path)) for file in files if not file.is_file() or file.stat().st_size != expected]
    if wrong:
        raise DataError(
            f"{path}: chunks are missing or not {expected} bytes: {enumerate_names(wrong)}; remove the store and run "
            "ingestion again"
        )
    _allow_open(len(files), path)
    return tuple(map_chunk(file, (shard, *shape[1:])) for file in files)


def _allow_open(files: int, path: Path) -> None:
    """Let this process have so many files open, since a mapped one is. Raises DataError where the system does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    if not unlimited and files + OTHER_FILES > hard:
        raise DataError(
            f"{path}: its {files} chunks are more files than a process may have open here ({hard}): raise the limit "
            "(ulimit -Hn, LimitNOFILE), or ingest with a larger data.shard"
        )
    if files + OTHER_FILES > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _whole(group: zarr.Group, name: str) -> np.ndarray:
    return np.asarray(array(group, name)[:])
