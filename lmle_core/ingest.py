"""Ingestion: image files into one image store, a shard at a time, each written by one writer and done once.

`create_store`, then `ingest_shard` for every shard in any order and any process, then `publish`; or `ingest_over` a
pool, which does all of it.
"""

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from filelock import FileLock
from zarr.codecs import Crc32cCodec

from lmle_core.artefact import digest_of, write_atomically
from lmle_core.celeba.annotations import CelebA
from lmle_core.celeba.images import Images, open_images
from lmle_core.celeba.layout import DataError, enumerate_names
from lmle_core.config import Data
from lmle_core.decode import Geometry, load
from lmle_core.location import locate
from lmle_core.store import CHECKSUM_BYTES, FORMAT, QUARANTINED, array, chunk_bytes, chunk_file

RECORDS = "shards"
LOCKS = "locks"
CREATED = "CREATED"
QUARANTINE = "quarantine.json"


class QuarantineError(DataError):
    """More images are undecodable than the configuration allows."""


@dataclass(frozen=True)
class ShardResult:
    """What is known of a finished shard.

    Attributes:
        shard: its number.
        images: how many images it holds.
        source_digest: of the bytes of its image files.
        pixel_digest: of its decoded images.
        quarantined: file name and reason of each image that could not be decoded.
    """

    shard: int
    images: int
    source_digest: str
    pixel_digest: str
    quarantined: tuple[tuple[str, str], ...]

    @classmethod
    def load(cls, path: Path) -> "ShardResult | None":
        """A shard's record, or None where there is none that is whole."""
        try:
            record = json.loads(path.read_text())
            quarantined = tuple((str(name), str(reason)) for name, reason in record.pop("quarantined"))
            return cls(**record, quarantined=quarantined)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        write_atomically(path, json.dumps(asdict(self), indent=1))


def ingest_over(pool: Executor, partial: Path, source: CelebA, data: Data) -> str:
    """Lay out a store, ingest its shards over the workers of a pool, and publish it.

    Args:
        pool: threads or processes, one a core: reading, decoding, resizing and hashing leave the interpreter free.
        partial: as in `create_store`.
        source: likewise.
        data: geometry, shard size and the share of images that may be quarantined.

    Returns:
        The digest of the content, whatever the number of workers.

    Raises:
        OSError, DataError, QuarantineError: as `ingest_shard` and `publish`.
    """
    shards = create_store(partial, source, data)
    for _ in pool.map(ingest_shard, repeat(partial), range(shards)):
        pass
    return publish(partial, data.quarantine)


def create_store(partial: Path, source: CelebA, data: Data) -> int:
    """Lay out an unpublished store in a directory: all annotations, and no images yet.

    Args:
        partial: the directory. One that an interrupted ingestion of the same source left is continued.
        source: the data set.
        data: geometry and shard size.

    Returns:
        The number of shards.
    """
    n = len(source.filenames)
    shards = -(-n // data.shard)
    if (partial / CREATED).exists():
        return shards
    for left in partial.iterdir() if partial.exists() else ():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    group = zarr.create_group(partial, zarr_format=3, overwrite=True)
    group.attrs.update(
        {
            "format": FORMAT,
            "attributes": list(source.attributes),
            "crop": data.crop,
            "source": str(source.directory.absolute()),
        }
    )
    group.create_array(
        "images",
        shape=(n, 3, data.height, data.width),
        chunks=(data.shard, 3, data.height, data.width),
        dtype="uint8",
        filters=None,
        compressors=[Crc32cCodec()],
        fill_value=0,
    )
    group.create_array(
        "filename", data=np.array(source.filenames, np.dtypes.StringDType()), chunks=(min(n, data.shard),)
    )
    columns = {
        "attributes": source.labels,
        "split": source.split,
        "identity": source.identity,
        "landmarks": source.landmarks,
        "clean_attributes": source.clean_labels,
    }
    for name, values in columns.items():
        if values is not None:
            group.create_array(name, data=values, chunks=values.shape)
    (partial / RECORDS).mkdir()
    (partial / LOCKS).mkdir()
    write_atomically(partial / CREATED, "")
    return shards


def ingest_shard(partial: Path, shard: int) -> ShardResult:
    """Decode a shard's images and write its chunk; a shard that is done already is left alone.

    Args:
        partial: the directory of `create_store`.
        shard: the shard's number. A second process that is given the same one waits, and finds it done.

    Raises:
        OSError: if files cannot be read; that is no property of the image, and nothing is recorded.
    """
    with FileLock(partial / LOCKS / f"{shard:06}"):
        return _ingest_shard(partial, shard)


def _ingest_shard(partial: Path, shard: int) -> ShardResult:
    record = partial / RECORDS / f"{shard:06}.json"
    group = zarr.open_group(partial, mode="r+", zarr_format=3)
    images = array(group, "images").with_config({"write_empty_chunks": True})
    done = ShardResult.load(record)
    if done is not None and _has_chunk(partial, images, shard):
        return done
    size = images.chunks[0]
    lo, hi = shard * size, min(images.shape[0], (shard + 1) * size)
    names = [str(name) for name in array(group, "filename")[lo:hi]]  # type: ignore[union-attr]
    reader = open_images(locate(str(group.attrs["source"]))).ahead(names)
    geometry = Geometry(images.shape[2], images.shape[3], "centre" if group.attrs["crop"] == "centre" else "none")
    pixels = np.zeros((hi - lo, *images.shape[1:]), np.uint8)
    sources = hashlib.sha256()
    quarantined = []
    for row, name in enumerate(names):
        try:
            data = _read(reader, name)
            sources.update(len(data).to_bytes(8, "little"))
            sources.update(data)
            load(data, geometry, out=pixels[row])
        except ValueError as error:
            quarantined.append((name, str(error)))
    images[lo:hi] = pixels
    with ThreadPoolExecutor(1) as disk:  # waiting for it takes about as long as the digest
        written = disk.submit(fsync, chunk_file(partial, shard))
        pixel_digest = hashlib.sha256(pixels).hexdigest()[:32]
        written.result()  # zarr renames without; the record below must not outlive its chunk
    result = ShardResult(shard, hi - lo, sources.hexdigest()[:32], pixel_digest, tuple(quarantined))
    result.save(record)
    return result


def check_quarantine(quarantined: Iterable[tuple[str, str]], images: int, share: float) -> None:
    """Stop where more than a share of the images is quarantined. Raises QuarantineError with names and reasons."""
    listed = sorted(quarantined)
    if len(listed) > share * images:
        raise QuarantineError(
            f"{len(listed)} of {images} images cannot be decoded, over data.quarantine = {share:g}: "
            f"{enumerate_names((f'{name}: {reason}' for name, reason in listed), 10)}; "
            "repair or remove them, or raise data.quarantine"
        )


def publish(partial: Path, share: float = 1.0) -> str:
    """Finish a store whose shards are all done: read back, mark quarantined images, seal with the content's digest.

    Args:
        partial: the directory of `create_store`.
        share: of images that may be quarantined.

    Returns:
        The digest of the content: pixels, names, labels, split and geometry.

    Raises:
        DataError: if a shard is not done, or does not read back as it was written; it is then forgotten, so that the
            next attempt redoes it.
        QuarantineError: over the share.
    """
    group = zarr.open_group(partial, mode="r+", zarr_format=3)
    images = array(group, "images")
    results = _results(partial, images)
    quarantined = dict(pair for result in results for pair in result.quarantined)
    check_quarantine(quarantined.items(), images.shape[0], share)
    for result in results:
        _read_back(partial, result)
    names = [str(name) for name in array(group, "filename")[:]]  # type: ignore[union-attr]
    split = np.asarray(array(group, "split")[:])
    split[[row for row, name in enumerate(names) if name in quarantined]] = QUARANTINED
    array(group, "split")[:] = split
    digests = np.array([result.source_digest for result in results], np.dtypes.StringDType())
    group.create_array("source_digest", data=digests, chunks=digests.shape, overwrite=True)
    listed = [{"file": name, "reason": reason} for name, reason in sorted(quarantined.items())]
    write_atomically(partial / QUARANTINE, json.dumps(listed, indent=1))
    digest = digest_of(
        {
            "format": FORMAT,
            "shape": list(images.shape),
            "pixels": [result.pixel_digest for result in results],
            "attributes": group.attrs["attributes"],
            "names": names,
            "arrays": {
                name: hashlib.sha256(np.ascontiguousarray(array(group, name)[:]).tobytes()).hexdigest()
                for name in ("attributes", "split", "identity", "landmarks", "clean_attributes")
                if name in group
            },
        }
    )
    group.attrs["digest"] = digest
    shutil.rmtree(partial / LOCKS, ignore_errors=True)
    return digest


def read_quarantine(path: Path) -> list[dict[str, str]]:
    """The quarantined images of a published store: `file` and `reason` of each."""
    listed: list[dict[str, str]] = json.loads((path / QUARANTINE).read_text())
    return listed


def _results(partial: Path, images: zarr.Array[Any]) -> list[ShardResult]:
    shards = range(-(-images.shape[0] // images.chunks[0]))
    results = [ShardResult.load(partial / RECORDS / f"{shard:06}.json") for shard in shards]
    absent = [
        str(shard) for shard, result in enumerate(results) if result is None or not _has_chunk(partial, images, shard)
    ]
    if absent:
        raise DataError(f"{partial}: shards are not ingested yet: {enumerate_names(absent)}")
    return [result for result in results if result is not None]


def _read_back(partial: Path, result: ShardResult) -> None:
    """Compare a chunk file with its checksum; zarr's reader does so too, in ten times the time."""
    file = chunk_file(partial, result.shard)
    content = np.memmap(file, np.uint8, "r")
    checksum = int.from_bytes(content[-CHECKSUM_BYTES:].tobytes(), "little")
    if google_crc32c.value(content[:-CHECKSUM_BYTES]) != checksum:
        (partial / RECORDS / f"{result.shard:06}.json").unlink()
        raise DataError(
            f"{file} does not read back as it was written; check the disk, then run again: the shard is redone"
        )


def _read(reader: Images, name: str) -> bytes:
    try:
        return reader.read(name)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"damaged in the archive: {error}") from None


def _has_chunk(partial: Path, images: zarr.Array[Any], shard: int) -> bool:
    file = chunk_file(partial, shard)
    return file.is_file() and file.stat().st_size == chunk_bytes(images.shape, images.chunks[0])


def fsync(path: Path) -> None:
    """See that a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
