"""Task: features of all images, a shard a piece, on Dask workers or on this process's GPU."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from distributed import Client

from lmle_core.artefact import Reference
from lmle_core.config import Engines
from lmle_core.device import choose_device
from lmle_core.features import Encoder, Features, Output, encode_shard, extract, feature_shape, load_encoder
from lmle_core.store import ImageStore
from tasks.elsewhere import local, sees
from tasks.progress import Progress
from tasks.spread import spread
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
    device = choose_device(engines.device)
    progress = Progress("features", "shards")
    if workers.outdo(device):
        extract_over(workers.client(), workers.kind(), store.path, network.path, output, directory, progress)
    else:
        extract(load_encoder(Path(network.path), output, device), ImageStore.open(store.path), directory, progress)


def extract_over(
    client: Client,
    kind: str,
    store: str,
    network: str,
    output: Output,
    directory: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Encode every image of a store on Dask workers, which read images and network, and write features, by path.

    Args:
        client: of the cluster.
        kind: where the workers compute, 'cpu' or 'cuda'.
        store: path of the images.
        network: path of a stage's directory with an encoder.
        output: which of the network's outputs.
        directory: of the artefact.
        progress: called with (shards done, shards).
    """
    images = ImageStore.open(store)
    shape = feature_shape(load_encoder(Path(network), output), images.shape)
    result = Features.create(directory, images.n, shape, images.shard)
    shards = -(-images.n // images.shard)
    with spread(
        client, _extract, range(shards), store=store, network=network, output=output, directory=str(directory),
        kind=kind, created=Features.metadata(directory).stat().st_mtime_ns, retries=2,
    ) as encoded:  # fmt: skip
        for done, written_here in enumerate(encoded, 1):
            if written_here is not None:
                result.write(*written_here)
            if progress is not None:
                progress(done, shards)
    result.check()
    return result


def _extract(
    number: int, store: str, network: str, output: Output, directory: str, kind: str, created: int
) -> tuple[int, np.ndarray] | None:
    """Write a shard's features; where this worker does not see the artefact, return their first row and them."""
    images = _store(store)
    low, values = encode_shard(_encoder(network, output, kind), images, number)
    if not sees(Features.metadata(Path(directory)), created):
        return low, values
    Features.open(Path(directory)).write(low, values)
    return None


@lru_cache(maxsize=1)
def _store(path: str) -> ImageStore:
    return ImageStore.open(local(path))


@lru_cache(maxsize=1)
def _encoder(directory: str, output: Output, kind: str) -> Encoder:
    import torch

    torch.set_num_threads(1)
    return load_encoder(local(directory), output, choose_device(kind))
