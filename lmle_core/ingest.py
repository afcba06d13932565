"""Ingestion: image files into one image store, a shard at a time, each written by one writer and done once.

`create_store`, then `ingest_shard` for every shard in any order and any process, then `publish`; or `ingest_over` a
pool, which does all of it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import Executor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from lmle_core.artefact import digest_of, write_atomically
from lmle_core.celeba.annotations import CelebA
from lmle_core.celeba.layout import DataError, enumerate_names
from lmle_core.config import Data
from lmle_core.earlier import Earlier, decoder_version
from lmle_core.shards import LOCKS, RECORDS, ShardResult, has_chunk, ingest_shard
from lmle_core.store import DIGEST_BYTES, FORMAT, QUARANTINE, QUARANTINED, array, chunk_file, is_intact

CREATED = "CREATED"


class QuarantineError(DataError):
    """More images are undecodable than the configuration allows."""


def ingest_over(pool: Executor, partial: Path, source: CelebA, data: Data, earlier: Earlier | None = None) -> str:
    """Lay out a store, ingest its shards over the workers of a pool, and publish it.

    Args:
        pool: threads or processes, one a core: reading, decoding, resizing and hashing leave the interpreter free.
        partial: as in `create_store`.
        source: likewise.
        data: geometry, shard size and the share of images that may be quarantined.
        earlier: what a committed store has of it already.

    Returns:
        The digest of the content, whatever the number of workers and whatever was copied.

    Raises:
        OSError, DataError, QuarantineError: as `ingest_shard` and `publish`.
    """
    shards = create_store(partial, source, data)
    for _ in pool.map(ingest_shard, repeat(partial), range(shards), parts(earlier, shards, data.shard)):
        pass
    return publish(partial, data.quarantine)


def create_store(partial: Path, source: CelebA, data: Data) -> int:
    """Lay out an unpublished store in a directory: all annotations, and no images yet.

    Args:
        partial: the directory. One that an interrupted ingestion of the same source left is continued, from where the
            source lies now.
        source: the data set.
        data: geometry and shard size.

    Returns:
        The number of shards.
    """
    n = len(source.filenames)
    shards = -(-n // data.shard)
    folders: Any = [[str(folder.absolute()), rows] for folder, rows in source.folders]
    if (partial / CREATED).exists():
        zarr.open_group(partial, mode="r+").attrs["folders"] = folders
        return shards
    for left in partial.iterdir() if partial.exists() else ():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    group = zarr.create_group(partial, zarr_format=3, overwrite=True)
    group.attrs.update(
        {
            "format": FORMAT,
            "attributes": list(source.attributes),
            "crop": data.crop,
            "decoder": decoder_version(),
            "folders": folders,
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
        "source_digest",
        shape=(n, DIGEST_BYTES),
        chunks=(data.shard, DIGEST_BYTES),  # written with the shard's images
        dtype="uint8",
        filters=None,
        compressors=None,
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
        "stamp": np.array(source.stamps, np.int64),
    }
    for name, values in columns.items():
        if values is not None:
            group.create_array(name, data=values, chunks=values.shape)
    (partial / RECORDS).mkdir()
    (partial / LOCKS).mkdir()
    write_atomically(partial / CREATED, "")
    return shards


def parts(earlier: Earlier | None, shards: int, size: int) -> list[Earlier | None]:
    """What an earlier store has of each shard."""
    return [earlier and earlier.part(shard * size, (shard + 1) * size) for shard in range(shards)]


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
        str(shard) for shard, result in enumerate(results) if result is None or not has_chunk(partial, images, shard)
    ]
    if absent:
        raise DataError(f"{partial}: shards are not ingested yet: {enumerate_names(absent)}")
    return [result for result in results if result is not None]


def _read_back(partial: Path, result: ShardResult) -> None:
    file = chunk_file(partial, result.shard)
    if not is_intact(file):
        (partial / RECORDS / f"{result.shard:06}.json").unlink()
        raise DataError(
            f"{file} does not read back as it was written; check the disk, then run again: the shard is redone"
        )
