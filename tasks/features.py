"""Task: features of all images, a shard a piece, on Dask workers or on this process's GPU."""

from functools import lru_cache
from pathlib import Path

from lmle_core.artefact import Reference
from lmle_core.config import Engines
from lmle_core.device import choose_device
from lmle_core.features import Encoder, Features, Output, extract, extract_shard, feature_shape, load_encoder
from lmle_core.store import ImageStore
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
        pure=False, retries=2,
    )  # fmt: skip
    for done, future in enumerate(as_completed(futures), 1):
        future.result()
        progress(done, shards)
    result.check()


def _extract(number: int, store: str, network: str, output: Output, directory: str) -> None:
    images = _store(store)
    extract_shard(_encoder(network, output), images.block, Features.open(Path(directory)), images.shard, number)


@lru_cache(maxsize=1)
def _store(path: str) -> ImageStore:
    return ImageStore.open(path)


@lru_cache(maxsize=1)
def _encoder(directory: str, output: Output) -> Encoder:
    import torch

    torch.set_num_threads(1)
    return load_encoder(Path(directory), output)
