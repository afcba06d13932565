"""Task: the clusters of a round, on the engine that the configuration names."""

from pathlib import Path

import torch

from lmle_core.artefact import Reference
from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config
from lmle_core.device import choose_device, set_threads
from lmle_core.kmeans import Blocks, StoredRows
from lmle_core.prior import class_count
from lmle_core.store import TRAIN, ImageStore
from tasks.stage import stage
from tasks.workers import Workers

ENGINES = ("lmle_core.kmeans.torch_blocks", "lmle_core.kmeans.faiss_blocks", "tasks.kmeans_blocks")
"""Where the engines of `blocks_of` are."""


def blocks_of(rows: StoredRows, engine: str, device: torch.device, workers: Workers) -> Blocks:
    """The k-means engine: 'auto' is the GPU where the run has one and the workers have not several, else Dask."""
    if engine == "auto":
        engine = "dask" if workers.outdo(device) else "torch"
    if engine == "dask":
        from tasks.kmeans_blocks import DaskBlocks

        return DaskBlocks(rows, workers.client(), workers.kind())
    if engine == "faiss":
        from lmle_core.kmeans.faiss_blocks import FaissBlocks

        return FaissBlocks(rows)
    from lmle_core.kmeans.torch_blocks import TorchBlocks

    return TorchBlocks(rows, device)


@stage("clusters", "lmle_core.clusters", engines=ENGINES)
def clusters(
    directory: Path,
    store: Reference,
    features: Reference,
    previous: Reference | None,
    number: int,
    config: Config,
    workspace: Path,
    workers: Workers,
) -> None:
    """K-means of each class of each attribute over the training images' features."""
    set_threads(config.engines.threads)
    images = ImageStore.open(store.path)
    rows = images.rows(TRAIN)
    source = StoredRows(features.path, images.labels[rows], rows)
    found = cluster(
        blocks_of(source, config.cluster.engine, choose_device(config.engines.device), workers),
        config.cluster,
        attributes=images.attributes,
        n_classes=class_count(images.labels),
        seed=config.seed,
        round=number,
        warm=Clusters.load(Path(previous.path)) if previous else None,
    )
    found.save(directory)
