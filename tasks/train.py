"""Tasks: mine a round's quintuplets, and train it."""

from pathlib import Path

import numpy as np

from lmle_core.artefact import Reference
from lmle_core.clusters import Clusters
from lmle_core.config import Config
from lmle_core.device import choose_device, set_threads
from lmle_core.distributed.job import Job
from lmle_core.distributed.launch import carry_out
from lmle_core.features import Features
from lmle_core.quintuplets.pools import Pools
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import mine_quintuplets, mining_subset
from tasks.mining import Mining, mine_over, pays
from tasks.progress import Progress
from tasks.stage import stage
from tasks.workers import Workers


@stage("quintuplets", "lmle_core.training")
def quintuplets(
    directory: Path,
    store: Reference,
    features: Reference,
    clusters: Reference,
    number: int,
    config: Config,
    workspace: Path,
    workers: Workers,
) -> None:
    """Mine the quintuplets of a round over its random subset of the training images ('table' mode)."""
    set_threads(config.engines.threads)
    images = ImageStore.open(store.path)
    rows = images.rows(TRAIN)
    subset = mining_subset(len(rows), config, number)
    seed = (config.seed, 6, number)
    device = choose_device(config.engines.device)
    pools = Pools(config.quintuplets.positives, config.quintuplets.impostors)
    values = Features.open(Path(features.path))
    embedding = 4 * values.array.shape[1] * values.array.shape[2]
    size = len(subset), len(images.attributes), embedding
    if pays(*size, pools, device, workers) and workers.see(workspace):  # they write what they find there
        np.save(directory / "subset.npy", subset)
        mining = Mining(store.path, features.path, clusters.path, str(directory / "subset.npy"), pools, seed)
        progress = Progress("quintuplets", "shares")
        found = mine_over(workers.client(), workers.kind(), mining, directory, progress=progress)
        (directory / "subset.npy").unlink()
    else:
        found = mine_quintuplets(
            values.rows(rows[subset]), images.labels[rows[subset]],
            Clusters.load(Path(clusters.path)).assignment[subset], subset, config, seed, device,
        )  # fmt: skip
    found.save(directory)


@stage("train", "lmle_core.training", resume=True, exclusive=True)
def train(
    directory: Path,
    store: Reference,
    clusters: Reference,
    previous: Reference,
    table: Reference | None,
    number: int,
    config: Config,
    workspace: Path,
) -> None:
    """Train one round."""
    job = Job(
        kind="round",
        store=store.path,
        directory=directory,
        config=config,
        number=number,
        clusters=clusters.path,
        previous=previous.path,
        quintuplets=table.path if table else None,
    )
    carry_out(job, Progress(f"train {number}", "iterations"))
