"""A training described by what it reads and writes, so that any process can carry it out."""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict

from lmle_core.clusters import Clusters
from lmle_core.config import Config
from lmle_core.device import choose_device, gpus
from lmle_core.prior import Progress, make_prior, train_classifier
from lmle_core.quintuplets import Quintuplets
from lmle_core.store import ImageStore
from lmle_core.training.round import train_round

Place = Annotated[Path, AfterValidator(Path.absolute)]


def check_processes(config: Config) -> None:
    """Raise ValueError where there are more processes than GPUs on this machine, or than images in a batch."""
    engines, batch = config.engines, config.training.batch
    if choose_device(engines.device).type == "cuda" and engines.processes > gpus():
        raise ValueError(f"engines.processes {engines.processes}: one a GPU, and this machine has {gpus()}")
    if engines.nodes * engines.processes > batch:
        raise ValueError(
            f"engines.processes {engines.processes} on engines.nodes {engines.nodes} share a batch of {batch} images: "
            "each needs one at least"
        )


class Job(BaseModel):
    """A training.

    Attributes:
        kind: of the prior, of the BCE baseline, or of a round.
        store: the image store.
        directory: gets the network; checkpoints meanwhile.
        config: the run's configuration.
        epochs: 'bce': passes over the training split.
        number: 'round': which one, from 1.
        clusters: 'round': directory of its clusters.
        previous: 'round': directory of the network before.
        quintuplets: 'round' in 'table' mode: directory of its quintuplets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["prior", "bce", "round"]
    store: Place
    directory: Place
    config: Config
    epochs: float = 0
    number: int = 0
    clusters: Place | None = None
    previous: Place | None = None
    quintuplets: Place | None = None

    @property
    def ranks(self) -> int:
        """Processes that carry it out; a prior that is not trained by gradients needs one."""
        engines = self.config.engines
        fitted = self.kind == "prior" and not self.config.prior.is_trained
        return 1 if fitted else engines.nodes * engines.processes

    def run(self, device: torch.device, progress: Progress | None) -> None:
        """Carry it out in this process, alone or as one of several (see `lmle_core.distributed.ranks`)."""
        store = ImageStore.open(self.store)
        if self.kind == "prior":
            make_prior(store, self.config, device, self.directory, progress)
        elif self.kind == "bce":
            train_classifier(store, self.config, device, self.directory, self.epochs, progress)
        else:
            assert self.clusters is not None and self.previous is not None
            train_round(
                self.number,
                store,
                Clusters.load(self.clusters),
                self.previous,
                self.config,
                device,
                self.directory,
                quintuplets=Quintuplets.load(self.quintuplets) if self.quintuplets else None,
                progress=progress,
            )
