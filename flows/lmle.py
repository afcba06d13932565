"""The flow: ingest → features → (cluster → mine → train)* → index → evaluate → register."""

import json
from pathlib import Path
from typing import Any

from prefect import flow

from infra.settings import workspace_path
from lmle_core.artefact import Reference, code_version, digest_of
from lmle_core.celeba.annotations import read_celeba
from lmle_core.config import Config
from tasks import evaluate as evaluating
from tasks import index as indexing
from tasks import prior as priors
from tasks.clusters import clusters
from tasks.data import ingest_images, synth
from tasks.evaluate import evaluation, health
from tasks.features import features
from tasks.gates import check_data, check_health, check_quality
from tasks.index import index
from tasks.prior import bce, pca, prior
from tasks.progress import say
from tasks.publish import publish_run
from tasks.record import begin_record, finish_record, record_round
from tasks.stage import done
from tasks.train import quintuplets, train
from tasks.workers import Workers

CODE = ("lmle_core.ingest", "lmle_core.training", "lmle_core.publish", "lmle_core.evaluation", "lmle_core.faces")
INGESTED = tuple(f"data.{key}" for key in ("attributes", "height", "width", "crop", "shard", "quarantine"))
DEFAULTS = Config()


@flow(name="lmle")
def lmle(config: Config = DEFAULTS, directory: Path | None = None) -> dict[str, str]:
    """Train, evaluate and register a Large Margin Local Embedding.

    Args:
        config: everything that a run can be told.
        directory: a folder in CelebA's layout; replaces `config.data.directory` where given.

    Returns:
        `run`: the run's directory; `model`: the registered model's URI.
    """
    if directory is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"directory": directory})})
    workspace = workspace_path(config.engines.workspace)
    workspace.mkdir(parents=True, exist_ok=True)
    with Workers(config.engines) as workers:
        return _run(config, workspace, workers)


def _run(config: Config, workspace: Path, workers: Workers) -> dict[str, str]:
    everywhere: dict[str, Any] = {"workspace": workspace}
    engines, rounds = config.engines, range(1, config.training.rounds + 1)

    store = _store(config, workspace, workers)
    check_data(store)
    code = digest_of([code_version(module) for module in CODE])
    run = digest_of({"config": config.digest(), "data": store.digest, "code": code})[:12]
    say(f"run          {run}, data {store.digest[:12]}")
    record = begin_record(run, store, config, code, workspace)

    def encode(network: Reference, output: Any) -> Reference:
        return done(
            features, store=store, network=network, output=output, engines=engines, workers=workers, **everywhere
        )

    def index_of(embedded: Reference) -> Reference:
        return done(
            index, store=store, features=embedded, config=config.view(*indexing.VIEW), workers=workers, **everywhere
        )

    start = done(prior, store=store, config=config.view(*priors.VIEW), **everywhere)
    embedded = prior_features = encode(start, "trunk")
    network = start
    before: Reference | None = None
    cells: Reference | None = None
    table: Reference | None = None
    networks: list[Reference] = []
    healths: list[Reference] = []
    clustering = config.view("seed", "cluster")
    training = config.view("seed", "trunk", "training", "loss", "quintuplets")
    for number in rounds:
        before = cells
        cells = done(
            clusters, store=store, features=embedded, previous=before, number=number, config=clustering,
            workers=workers, **everywhere,
        )  # fmt: skip
        if number == 1:
            healths.append(done(
                health, store=store, features=embedded, clusters=cells, previous=None, network=None, number=0,
                **everywhere,
            ))  # fmt: skip
            record_round(record, healths[-1], [])
        if config.quintuplets.mode == "table":
            table = done(
                quintuplets, store=store, features=embedded, clusters=cells, number=number, config=training,
                **everywhere,
            )  # fmt: skip
        network = done(
            train, store=store, clusters=cells, previous=network, table=table, number=number, config=training,
            **everywhere,
        )  # fmt: skip
        networks.append(network)
        embedded = encode(network, "embeddings")
        healths.append(done(
            health, store=store, features=embedded, clusters=cells, previous=before, network=network, number=number,
            **everywhere,
        ))  # fmt: skip
        record_round(record, healths[-1], networks)
        check_health(healths[-1], config)

    centroids = index_of(embedded)
    rivals: dict[str, tuple[Reference, Reference | None]] = {"prior": (prior_features, index_of(prior_features))}
    if config.evaluation.pca:
        components = encode(done(pca, store=store, config=config.view(*priors.VIEW), **everywhere), "trunk")
        rivals["pca"] = (components, index_of(components))
    if config.evaluation.bce:
        epochs = priors.epochs_seen(config, store)
        classifier = done(bce, store=store, config=config.view(*priors.VIEW), epochs=epochs, **everywhere)
        rivals["bce"] = (encode(classifier, "logits"), None)
    scores = done(
        evaluation, store=store, features=embedded, index=centroids, rivals=rivals,
        config=config.view(*evaluating.VIEW), **everywhere,
    )  # fmt: skip
    parts: dict[str, Any] = {
        "store": store, "features": embedded, "networks": networks, "healths": healths, "index": centroids,
        "evaluation": scores, "others": [start, prior_features],
    }  # fmt: skip
    published = done(
        publish_run, run=run, parts=parts, config=config, code=code, command=_command(config), **everywhere
    )
    model = finish_record(record, published, store, config)
    check_quality(published, config)
    return {"run": published.path, "model": model.uri}


def _store(config: Config, workspace: Path, workers: Workers) -> Reference:
    source = config.data.directory
    if source is None:
        faces = done(
            synth, images=config.data.images, label_noise=config.data.label_noise, seed=config.seed,
            workspace=workspace, workers=workers,
        )  # fmt: skip
        source = Path(faces.path)
    fingerprint = read_celeba(source).fingerprint()
    return done(
        ingest_images, directory=source, fingerprint=fingerprint, data=config.view(*INGESTED).data, workspace=workspace,
        workers=workers,
    )  # fmt: skip


def _command(config: Config) -> str:
    """What repeats the run: every setting that is not the default."""
    settings = config.model_dump(mode="json", exclude_defaults=True, exclude={"engines"})
    words = ["lmle", "run"]
    for section, values in settings.items():
        entries = values.items() if isinstance(values, dict) else [("", values)]
        words += [f"--set {section}{'.' if key else ''}{key}={json.dumps(value)}" for key, value in entries]
    return " ".join(words)
