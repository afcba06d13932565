"""The stages of one run, each called with just what sets it apart; the configuration and the engines are filled in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import Task

from lmle_core.artefact import Reference, code_version, digest_of, file_digest
from lmle_core.celeba.folders import read_folders
from lmle_core.config import Config
from lmle_core.features import Output
from lmle_core.location import Location
from tasks import clusters as clustering
from tasks import data, drift, evaluate, features, index, prior, promotion, publish, synth, train
from tasks.gates import check_labels
from tasks.stage import done
from tasks.unfinished import finish, note
from tasks.workers import Workers

CODE = (
    "lmle_core.ingest", "lmle_core.digit_store", "lmle_core.faces", "lmle_core.training", "lmle_core.index_choice",
    "lmle_core.evaluation", "lmle_core.publish", *clustering.ENGINES,
)  # fmt: skip
"""Modules that with what they import are all that makes a run."""
INGESTED = tuple(f"data.{key}" for key in ("attributes", "height", "width", "crop", "shard", "quarantine"))
TRAINED = ("seed", "trunk", "training", "loss", "quintuplets")
CLUSTERED = ("seed", "cluster")


@dataclass
class Stages:
    """A run's stages. Each returns the reference of its artefact, made now or found done.

    Attributes:
        config: of the run; each stage gets its view of it.
        workspace: where artefacts go.
        workers: the Dask cluster, started if needed.
        start: a network that takes the place of the prior.
        purpose: name of what the stages are made for, in `tasks.unfinished`; by default a digest of the settings.
        made: every reference so far.
    """

    config: Config
    workspace: Path
    workers: Workers
    start: Reference | None = None
    purpose: str = ""
    made: list[Reference] = field(default_factory=list)

    def source(self) -> Location:
        """Where the images lie in CelebA's layout: the configured folder or URL, or procedural faces."""
        settings = self.config.data
        if settings.directory is not None:
            return settings.directory
        faces = self._do(
            synth.synth, images=settings.images, label_noise=settings.label_noise, held_out=settings.held_out,
            seed=self.config.seed, workers=self.workers,
        )  # fmt: skip
        return Path(faces.path)

    def store(self) -> Reference:
        """The image store of what the configuration names: a folder, procedural faces or digits."""
        settings = self.config.data
        if settings.directory is None and settings.source == "digits":
            return self._do(data.digits, data=self.config.view("data.removed", *INGESTED).data, seed=self.config.seed)
        return self.ingest(self.source())

    def ingest(self, directory: Location) -> Reference:
        """The image store of a folder in CelebA's layout, and of those that are appended to it."""
        more, view = self.config.data.more, self.config.view(*INGESTED).data
        found = read_folders(directory, more, view.attributes)
        check_labels(found.labels, found.split, found.attributes, str(directory))
        return self._do(
            data.ingest_images, directory=directory, more=more, fingerprint=found.fingerprint(), data=view,
            workers=self.workers,
        )  # fmt: skip

    def prior(self, store: Reference) -> Reference:
        """Round 0: what gives the first features, and what training starts from."""
        if self.start is not None:
            return self.start
        view = self.config.view(*prior.VIEW)
        return self._do(prior.prior, store=store, config=view, weights=self.weights())

    def pca(self, store: Reference) -> Reference:
        """Principal components of pixels, for a baseline."""
        return self._do(prior.pca, store=store, config=self.config.view(*prior.PCA_VIEW))

    def bce(self, store: Reference) -> Reference:
        """The BCE baseline: as many images seen as by a whole run that starts from no other network."""
        epochs = prior.epochs_seen(self.config, store)
        return self._do(prior.bce, store=store, config=self.config.view(*prior.BCE_VIEW), epochs=epochs)

    def features(self, store: Reference, network: Reference, output: Output) -> Reference:
        """One of a network's outputs for every image."""
        return self._do(
            features.features, store=store, network=network, output=output, engines=self.config.engines,
            workers=self.workers,
        )  # fmt: skip

    def clusters(self, store: Reference, embedded: Reference, previous: Reference | None, number: int) -> Reference:
        """The clusters of a round, on the features of the round before."""
        return self._do(
            clustering.clusters, store=store, features=embedded, previous=previous, number=number,
            config=self.config.view(*CLUSTERED), workers=self.workers,
        )  # fmt: skip

    def quintuplets(self, store: Reference, embedded: Reference, cells: Reference, number: int) -> Reference | None:
        """The quintuplets of a round in 'table' mode; in 'batch' mode there are none to mine."""
        if self.config.quintuplets.mode == "batch":
            return None
        return self._do(
            train.quintuplets, store=store, features=embedded, clusters=cells, number=number,
            config=self.config.view(*TRAINED), workers=self.workers,
        )  # fmt: skip

    def train(
        self, store: Reference, cells: Reference, previous: Reference, table: Reference | None, number: int
    ) -> Reference:
        """The network after a round."""
        return self._do(
            train.train, store=store, clusters=cells, previous=previous, table=table, number=number,
            config=self.config.view(*TRAINED),
        )  # fmt: skip

    def health(
        self, store: Reference, embedded: Reference, cells: Reference, before: Reference | None,
        network: Reference | None, number: int,
    ) -> Reference:  # fmt: skip
        """How well the features after a round serve."""
        view = self.config.view(*(evaluate.HEALTH_VIEW if number else evaluate.PRIOR_HEALTH_VIEW))
        return self._do(
            evaluate.health, store=store, features=embedded, clusters=cells, previous=before, network=network,
            number=number, config=view,
        )  # fmt: skip

    def index(self, store: Reference, embedded: Reference, logits: Reference | None = None) -> Reference:
        """The centroids that the decision rule searches, beside the classifier's logits where there are any."""
        return self._do(
            index.index, store=store, features=embedded, logits=logits, config=self.config.view(*index.VIEW),
            workers=self.workers,
        )  # fmt: skip

    def logits(self, store: Reference, network: Reference) -> Reference | None:
        """The classifier's logits, where it was trained and decides beside the rule."""
        if self.config.loss.bce_weight and self.config.index.calibrate:
            return self.features(store, network, "logits")
        return None

    def evaluation(
        self, store: Reference, embedded: Reference, centroids: Reference,
        rivals: dict[str, tuple[Reference, Reference | None]], logits: Reference | None,
    ) -> Reference:  # fmt: skip
        """Test scores beside the rivals'."""
        return self._do(
            evaluate.evaluation, store=store, features=embedded, index=centroids, rivals=rivals, logits=logits,
            config=self.config.view(*evaluate.VIEW),
        )  # fmt: skip

    def drift(self, store: Reference, champion: Reference) -> Reference:
        """How far new training images are from those of the champion."""
        threshold, engines = self.config.promotion.drift, self.config.engines
        reference = done(
            drift.drift, store=store, champion=champion, threshold=threshold, engines=engines, workspace=self.workspace
        )
        self.keep(reference)  # and not in `made`: the run that is published is without it
        return reference

    def verdict(self, store: Reference, test: Reference, challenger: Reference, champion: Reference) -> Reference:
        """Challenger against champion, on the frozen test images."""
        return done(
            promotion.verdict, store=store, test=test, challenger=challenger, champion=champion,
            rule=self.config.promotion, config=self.config.view(*promotion.VIEW), workspace=self.workspace,
        )  # fmt: skip

    def publish(self, run: str, command: str, **parts: Any) -> Reference:
        """The run's directory, from `parts` as in `lmle_core.publish.Parts`."""
        return self._do(
            publish.publish_run, run=run, parts={**parts, "stages": list(self.made)}, config=self.config,
            code=self.code(), command=command,
        )  # fmt: skip

    def code(self) -> str:
        """Version of the code that makes a run."""
        return digest_of([code_version(module) for module in CODE])

    def weights(self) -> str | None:
        """Digest of the configured weights file."""
        file = self.config.prior.weights
        return file_digest(file) if file is not None else None

    def name(self, store: Reference) -> str:
        """The run's name: the same configuration, weights, data and code are the same run."""
        parts = {"config": self.config.digest(), "weights": self.weights(), "data": store.digest, "code": self.code()}
        if self.start is not None:
            parts["start"] = self.start.digest
        return digest_of(parts)[:12]

    def _do(self, stage: Task[..., Reference], **inputs: Any) -> Reference:
        reference = done(stage, **inputs, workspace=self.workspace)
        self.made.append(reference)
        self.keep(reference)
        return reference

    def keep(self, reference: Reference) -> None:
        """Let nobody remove an artefact before `finish`."""
        note(self.workspace, self._purpose(), reference)

    def finish(self) -> None:
        """All is done: what the run needs its marker says."""
        finish(self.workspace, self._purpose())

    def _purpose(self) -> str:
        folders = [str(folder) for folder in (self.config.data.directory, *self.config.data.more)]
        return self.purpose or digest_of([self.config.digest(), *folders])
