"""The flow: ingest → features → (cluster → mine → train)* → index → evaluate → register."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefect import flow

from infra.settings import workspace_path
from lmle_core.artefact import Reference
from lmle_core.config import APART, Config
from lmle_core.location import Location
from tasks.gates import check_data, check_health, check_quality, check_settings, check_tracking, few_iterations
from tasks.pipeline import Stages
from tasks.progress import say
from tasks.record import record_results, record_round, recorded, register
from tasks.registry import RegisteredModel
from tasks.storage import sharing
from tasks.workers import Workers

DEFAULTS = Config()


@dataclass(frozen=True)
class Trained:
    """What training ends with.

    Attributes:
        run: the run's directory.
        run_id: MLflow's identity of the run.
        model: its version in the registry.
    """

    run: Reference
    run_id: str
    model: RegisteredModel


@flow(name="lmle")
def lmle(config: Config = DEFAULTS, directory: Location | None = None) -> dict[str, str]:
    """Train, evaluate and register a Large Margin Local Embedding.

    Args:
        config: everything that a run can be told.
        directory: a folder in CelebA's layout, or its URL; replaces `config.data.directory` where given.

    Returns:
        `run`: the run's directory; `model`: the registered model's URI.
    """
    with ingested(config, directory) as (stages, store):
        trained = train(stages, store)
    return {"run": trained.run.path, "model": trained.model.uri}


@contextmanager
def ingested(config: Config, directory: Location | None) -> Iterator[tuple[Stages, Reference]]:
    """The stages of a run and its image store, when settings and data have been found fit; arguments as of `lmle`."""
    if directory is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"directory": directory})})
    workspace = workspace_path(config.engines.workspace)
    check_settings(config)
    workspace.mkdir(parents=True, exist_ok=True)
    check_tracking(config, workspace)
    with sharing(config.engines, workspace), Workers(config.engines) as workers:
        stages = Stages(config, workspace, workers)
        store = stages.store()
        check_data(store, config)
        if warning := few_iterations(store, config):
            say(f"{'warning':<12} {warning}")
        yield stages, store
        stages.finish()


def train(stages: Stages, store: Reference) -> Trained:
    """Every stage after the image store, recorded in MLflow, up to the registered model."""
    config, workspace = stages.config, stages.workspace
    run = stages.name(store)
    say(f"{'run':<12} {run}, data {store.digest[:12]}")
    with recorded(run, store, config, stages.code(), workspace) as record:
        prior = network = stages.prior(store)
        prior_features = features = stages.features(store, prior, "trunk")
        clusters: Reference | None = None
        networks: list[Reference] = []
        healths: list[Reference] = []
        for number in range(1, config.training.rounds + 1):
            before, clusters = clusters, stages.clusters(store, features, clusters, number)
            if number == 1:
                healths.append(stages.health(store, features, clusters, None, None, 0))
                record_round(record, healths[0], [])
            table = stages.quintuplets(store, features, clusters, number)
            network = stages.train(store, clusters, network, table, number)
            networks.append(network)
            features = stages.features(store, network, "embeddings")
            healths.append(stages.health(store, features, clusters, before, network, number))
            record_round(record, healths[-1], networks)
            check_health(healths[-1], config)
        logits = stages.logits(store, network)
        index = stages.index(store, features, logits)
        evaluation = stages.evaluation(store, features, index, _rivals(stages, store, prior_features), logits)
        published = stages.publish(
            run, _command(config), store=store, features=features, networks=networks, healths=healths,
            index=index, evaluation=evaluation,
        )  # fmt: skip
        record_results(record, published)
        check_quality(published, config)
        model = register(record, published, store, config, workspace)
    return Trained(published, record.run_id, model)


def _rivals(
    stages: Stages, store: Reference, prior_features: Reference
) -> dict[str, tuple[Reference, Reference | None]]:
    """The baselines: features with their index, or logits."""
    rivals: dict[str, tuple[Reference, Reference | None]] = {
        "prior": (prior_features, stages.index(store, prior_features))
    }
    if stages.config.evaluation.pca:
        components = stages.features(store, stages.pca(store), "trunk")
        rivals["pca"] = (components, stages.index(store, components))
    if stages.config.evaluation.bce:
        rivals["bce"] = (stages.features(store, stages.bce(store), "logits"), None)
    return rivals


def _command(config: Config) -> str:
    """What repeats the run: every setting that is not the default."""
    settings = config.model_dump(mode="json", exclude_defaults=True, exclude=set(APART))
    words = ["lmle", "run"]
    for section, values in settings.items():
        entries = values.items() if isinstance(values, dict) else [("", values)]
        for key, value in entries:
            words += ["--set", f"{section}{'.' if key else ''}{key}={json.dumps(value, ensure_ascii=False)}"]
    return shlex.join(words)
