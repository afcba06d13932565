"""Task: features of all images, a shard a piece, on Dask workers or on this process's GPU."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from lmle_core.artefact import Reference
from lmle_core.config import Engines
from lmle_core.device import choose_device
from lmle_core.features import Encoder, Features, Output, encode_shard, extract, feature_shape, load_encoder
from lmle_core.store import ImageStore
from tasks.elsewhere import local, sees
from tasks.progress import Progress
from tasks.stage import stage
from tasks.workers import Workers


@stage("features", "lmle_core.features")
def features(
    directory: Path,
    store: Reference,
    network: Reference,
    output: Output,
    engines: Engines,
    workspace: Path,
    workers: Workers,
) -> None:
    """Encode every image of the store."""
    images = ImageStore.open(store.path)
    device = choose_device(engines.device)
    encoder = load_encoder(Path(network.path), output, device)
    progress = Progress("features", "shards")
    if device.type == "cuda":
        extract(encoder, images, directory, progress)
        return
    from distributed import as_completed

    result = Features.create(directory, images.n, feature_shape(encoder, images.shape), images.shard)
    shards = -(-images.n // images.shard)
    futures = workers.client().map(
        _extract, range(shards), store=store.path, network=network.path, output=output, directory=str(directory),
        created=Features.metadata(directory).stat().st_mtime_ns, pure=False, retries=2,
    )  # fmt: skip
    for done, future in enumerate(as_completed(futures), 1):
        if (written_here := future.result()) is not None:
            result.write(*written_here)
        future.release()
        progress(done, shards)
    result.check()


def _extract(
    number: int, store: str, network: str, output: Output, directory: str, created: int
) -> tuple[int, np.ndarray] | None:
    """Write a shard's features; where this worker does not see the artefact, return their first row and them."""
    images = _store(store)
    low, values = encode_shard(_encoder(network, output), images, number)
    if not sees(Features.metadata(Path(directory)), created):
        return low, values
    Features.open(Path(directory)).write(low, values)
    return None


@lru_cache(maxsize=1)
def _store(path: str) -> ImageStore:
    return ImageStore.open(local(path))


@lru_cache(maxsize=1)
def _encoder(directory: str, output: Output) -> Encoder:
    import torch

    torch.set_num_threads(1)
    return load_encoder(local(directory), output)
