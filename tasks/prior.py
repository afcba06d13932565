"""Task: round 0, the prior that the first clustering and the network start from; and the baselines made likewise."""

from pathlib import Path

from lmle_core.artefact import Reference, file_digest
from lmle_core.classifier import MODEL
from lmle_core.config import Config
from lmle_core.distributed.job import Job
from lmle_core.distributed.launch import carry_out
from lmle_core.network import WEIGHTS
from lmle_core.prior import fit_pca
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import images_seen
from tasks.progress import Progress
from tasks.stage import stage

STEP = ("training.batch", "training.flip", "training.shift", "training.weight_decay", "training.dimensions")
VIEW = ("seed", "trunk", "prior", "loss.bce_margin", *STEP)
BCE_VIEW = ("seed", "trunk", "prior", "training.learning_rate", *STEP)
PCA_VIEW = ("seed", "prior.components")
"""What of the configuration each stage depends on."""


@stage("prior", "lmle_core.prior", resume=True, exclusive=True)
def prior(directory: Path, store: Reference, config: Config, weights: str | None, workspace: Path) -> None:
    """Pre-train, or fit, what gives the first features; `weights` is the digest of the configured file."""
    del weights  # part of the key
    carry_out(Job(kind="prior", store=store.path, directory=directory, config=config), Progress("prior", "iterations"))


@stage("bce", "lmle_core.prior", resume=True, exclusive=True)
def bce(directory: Path, store: Reference, config: Config, epochs: float, workspace: Path) -> None:
    """Train the BCE baseline for as many images as the whole run sees."""
    job = Job(kind="bce", store=store.path, directory=directory, config=config, epochs=epochs)
    carry_out(job, Progress("bce", "iterations"))


@stage("pca", "lmle_core.prior")
def pca(directory: Path, store: Reference, config: Config, workspace: Path) -> None:
    """Fit principal components of pixels."""
    fit_pca(ImageStore.open(store.path), config, directory)


def warm_start(champion: Reference) -> Reference:
    """A champion's network in the place of a prior; its digest is that of the weights."""
    model = Path(champion.path) / MODEL
    return Reference("champion", str(model), file_digest(model / WEIGHTS))


def epochs_seen(config: Config, store: Reference) -> float:
    """Passes over the training split that a whole run makes: pre-training on the attributes, and all rounds."""
    images = len(ImageStore.open(store.path).rows(TRAIN))
    return round(images_seen(config, images) / images, 6)
