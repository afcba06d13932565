"""Image files into a store, spread over Dask by shards."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distributed import Client

from lmle_core.artefact import Reference, code_version, stage_key
from lmle_core.celeba.checksums import check_sums
from lmle_core.celeba.folders import read_folders
from lmle_core.changes import DataChanges
from lmle_core.config import Data
from lmle_core.earlier import decoder_version, find_earlier, find_previous
from lmle_core.ingest import check_quarantine, create_store, parts, publish, read_quarantine
from lmle_core.location import Location
from lmle_core.room import check_room
from lmle_core.shards import ingest_shard
from lmle_core.store import ImageStore, chunk_bytes, chunk_file
from tasks.progress import say, stage_ended
from tasks.spread import spread
from tasks.storage import make_shared

type Connect = Callable[[], Client]
type Progress = Callable[[int, int], None]
"""Called with the number of images done, and of all."""


def ingest(
    source_directory: Location,
    data: Data,
    workspace: Path,
    connect: Connect,
    progress: Progress | None = None,
    more: Sequence[Location] = (),
) -> Reference:
    """A committed image store of a data set in CelebA's layout, at `workspace/stores/<key>.zarr`.

    The key comes from the annotations, the image files (by size and time or checksum), the wanted geometry and the
    code. A store that is there is returned at once; one that was interrupted is continued with the shards it lacks.
    A new one copies from an earlier store of the workspace what that one has decoded already, and says what changed
    since the last store of the same folder (`DataChanges`).

    Args:
        source_directory: the data set, by path or URL.
        data: geometry, attributes and allowed share of undecodable images.
        workspace: where artefacts go.
        connect: gives the client of the cluster that decodes, whose workers see both places; called if needed.
        progress: is told of finished images.
        more: folders whose rows are appended.

    Returns:
        Its digest is that of the content, whatever the number of workers and whatever was copied. The marker's
        `published_files` tells which files carry the names of CelebA's, and whether they have the published checksum;
        `decoded` and `copied_shards`, how many images were decoded, and how many shards needed none.

    Raises:
        DataError: for a data set that is refused.
        NoRoomError: for a disk that cannot hold the pixels.
        QuarantineError: if more than `data.quarantine` of the images cannot be decoded; nothing is published then,
            and what was decoded is kept for the next attempt.
    """
    begun = time.perf_counter()
    source = read_folders(source_directory, more, data.attributes)
    images = len(source.filenames)
    geometry = data.model_dump(mode="json", include={"height", "width", "crop", "shard"})
    known = {"source": source.fingerprint(), "attributes": list(source.attributes), "decoder": decoder_version()}
    inputs = {**known, **geometry}
    stores = workspace.absolute() / "stores"
    directory = stores / f"{stage_key('ingest', code_version('lmle_core.ingest'), inputs)}.zarr"

    def make(partial: Path, record: dict[str, Any]) -> None:
        shards = create_store(partial, source, data)
        earlier = parts(find_earlier(stores, source, data), shards, data.shard)
        fresh = sum(
            not chunk_file(partial, shard).exists() and (part is None or not part.same.all())
            for shard, part in enumerate(earlier)
        )
        size = chunk_bytes((images, 3, data.height, data.width), data.shard)
        check_room(partial, fresh * size, f"the pixels of {images:,} images")
        quarantined: list[tuple[str, str]] = []
        done = decoded = copied = 0
        with spread(connect(), ingest_shard, [partial] * shards, range(shards), earlier) as results:
            for result in results:
                done += result.images
                decoded += result.decoded
                copied += not result.decoded
                quarantined += result.quarantined
                check_quarantine(quarantined, images, data.quarantine)
                if progress is not None:
                    progress(done, images)
        record["digest"] = publish(partial, data.quarantine)
        record["decoded"], record["copied_shards"] = decoded, copied
        if (previous := find_previous(stores, source)) is not None:
            changes = DataChanges.between(previous, ImageStore.open(partial))
            changes.save(partial)
            say(f"{'data':<12} {changes.words()}; {copied:,} of {shards:,} shards copied")
        record["published_files"] = {
            checksum.file: checksum.ok for checksum in check_sums(source_directory) if checksum.found
        }

    reference, found = make_shared(workspace, directory, "ingest", inputs, make, resume=True)
    listed = ((entry["file"], entry["reason"]) for entry in read_quarantine(directory))
    check_quarantine(listed, images, data.quarantine)  # a store that is there may have been made with another share
    stage_ended("ingest", found=found, seconds=time.perf_counter() - begun)
    return reference
