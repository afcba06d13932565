"""Task: the index that the decision rule searches, its clusters and k chosen on the validation split."""

from pathlib import Path

from lmle_core.artefact import Reference
from lmle_core.config import Config
from lmle_core.device import choose_device, set_threads
from lmle_core.features import Features
from lmle_core.index_choice import build_index
from lmle_core.kmeans import StoredRows
from lmle_core.prior import class_count
from lmle_core.store import TRAIN, VALID, ImageStore
from tasks.clusters import ENGINES, blocks_of
from tasks.stage import stage
from tasks.workers import Workers

VIEW = ("seed", "index", "cluster.iterations", "cluster.tolerance", "cluster.engine", "loss.squared")


@stage("index", "lmle_core.index_choice", engines=ENGINES)
def index(
    directory: Path,
    store: Reference,
    features: Reference,
    logits: Reference | None,
    config: Config,
    workspace: Path,
    workers: Workers,
) -> None:
    """Cluster the training images' features for each candidate and keep the best one; weigh the logits beside it."""
    set_threads(config.engines.threads)
    images = ImageStore.open(store.path)
    train, valid = images.rows(TRAIN), images.rows(VALID)
    build_index(
        blocks_of(
            StoredRows(features.path, images.labels[train], train),
            config.cluster.engine,
            choose_device(config.engines.device),
            workers,
        ),
        StoredRows(features.path, images.labels[valid], valid),
        config.index,
        config.cluster,
        attributes=images.attributes,
        n_classes=class_count(images.labels),
        seed=config.seed,
        squared=config.loss.squared,
        logits=Features.open(Path(logits.path)).rows(valid) if logits else None,
    ).save(directory)
