"""One shard of a store: its images, copied from an earlier store or decoded, and the record that they are there."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from filelock import FileLock

from lmle_core.artefact import fsync, write_atomically
from lmle_core.celeba.images import DAMAGED, Images, open_images
from lmle_core.decode import Geometry, load
from lmle_core.earlier import Earlier, EarlierImages
from lmle_core.location import locate
from lmle_core.store import DIGEST_BYTES, array, chunk_bytes, chunk_file, folders_of

RECORDS = "shards"
LOCKS = "locks"


@dataclass(frozen=True)
class ShardResult:
    """What is known of a finished shard.

    Attributes:
        shard: its number.
        images: how many images it holds.
        decoded: how many of them were decoded, or could not be; the others were copied from an earlier store.
        pixel_digest: of its decoded images.
        quarantined: file name and reason of each image that could not be decoded.
    """

    shard: int
    images: int
    decoded: int
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


def ingest_shard(partial: Path, shard: int, earlier: Earlier | None = None) -> ShardResult:
    """Write a shard's chunk of images, copied or decoded; a shard that is done already is left alone.

    Args:
        partial: the directory of `create_store`.
        shard: the shard's number. A second process that is given the same one waits, and finds it done.
        earlier: what a committed store has of this shard's rows. What is damaged there, or gone, is decoded.

    Raises:
        OSError: if files cannot be read; that is no property of the image, and nothing is recorded.
    """
    with FileLock(partial / LOCKS / f"{shard:06}"):
        return _ingest_shard(partial, shard, earlier)


def _ingest_shard(partial: Path, shard: int, earlier: Earlier | None) -> ShardResult:
    record = partial / RECORDS / f"{shard:06}.json"
    group = zarr.open_group(partial, mode="r+", zarr_format=3)
    images, source_digests = (
        array(group, name).with_config({"write_empty_chunks": True}) for name in ("images", "source_digest")
    )
    done = ShardResult.load(record)
    if done is not None and has_chunk(partial, images, shard):
        return done
    size = images.chunks[0]
    lo, hi = shard * size, min(images.shape[0], (shard + 1) * size)
    names = [str(name) for name in array(group, "filename")[lo:hi]]  # type: ignore[union-attr]
    geometry = Geometry(images.shape[2], images.shape[3], "centre" if group.attrs["crop"] == "centre" else "none")
    known = EarlierImages.none(hi - lo) if earlier is None else earlier.open()
    copied = known.same.copy()
    pixels = np.zeros((hi - lo, *images.shape[1:]), np.uint8)
    digests = np.zeros((hi - lo, DIGEST_BYTES), np.uint8)
    quarantined = []
    unknown = [None if same else name for name, same in zip(names, copied, strict=True)]
    for row, (name, reader) in enumerate(zip(names, _readers(group, lo, unknown), strict=True)):
        try:
            if not copied[row]:
                data = _read(reader, name)
                digests[row] = np.frombuffer(hashlib.sha256(data).digest()[:DIGEST_BYTES], np.uint8)
                copied[row] = known.rows[row] >= 0 and np.array_equal(digests[row], known.digests[row])
            if not copied[row]:
                load(data, geometry, out=pixels[row])
            elif name in known.reasons:
                quarantined.append((name, known.reasons[name]))
        except ValueError as error:
            quarantined.append((name, str(error)))
    digests[copied] = known.digests[copied]
    file = chunk_file(partial, shard)
    file.unlink(missing_ok=True)  # a link of an interrupted attempt shares its bytes with the earlier store
    whole = known.whole_chunk(size) if copied.all() else None
    if whole is not None and _linked(whole[0], file):
        pixels = whole[1]
    else:
        known.copy(copied, pixels)
        images[lo:hi] = pixels
    source_digests[lo:hi] = digests
    with ThreadPoolExecutor(1) as disk:  # waiting for it takes about as long as the digest
        written = [disk.submit(fsync, each) for each in (file, partial / "source_digest" / "c" / str(shard) / "0")]
        pixel_digest = hashlib.sha256(pixels).hexdigest()[:32]
        for each in written:
            each.result()  # zarr renames without; the record below must not outlive its chunk
    decoded = int(np.count_nonzero(~copied))
    result = ShardResult(shard, hi - lo, decoded, pixel_digest, tuple(quarantined))
    result.save(record)
    return result


def _readers(group: zarr.Group, lo: int, names: Sequence[str | None]) -> Iterator[Images]:
    """What reads the image of each row from `lo` of a store; `names` of those that will be read."""
    first, done = 0, 0
    for folder, rows in folders_of(group.attrs.asdict()):
        here = min(lo + len(names), first + rows) - max(lo, first)
        if here > 0:
            wanted = [name for name in names[done : done + here] if name is not None]
            yield from repeat(open_images(locate(folder)).ahead(wanted), here)
            done += here
        first += rows


def _linked(chunk: Path, file: Path) -> bool:
    """Make a second name for the chunk of an earlier store, where the file system can."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.hardlink_to(chunk)
    except OSError:
        return False
    return True


def _read(reader: Images, name: str) -> bytes:
    try:
        return reader.read(name)
    except DAMAGED as error:
        raise ValueError(f"damaged in the archive: {error or type(error).__name__}") from None


def has_chunk(partial: Path, images: zarr.Array[Any], shard: int) -> bool:
    """Whether a shard's chunk file is there, in its size."""
    file = chunk_file(partial, shard)
    return file.is_file() and file.stat().st_size == chunk_bytes(images.shape, images.chunks[0])
