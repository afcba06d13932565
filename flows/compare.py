"""The flow: seed by seed ingest → each method's trials → the settings that validation chose, every seed → tables."""

import re
from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.exits import UsageError
from flows.experiments import Runs, key_of
from infra.settings import workspace_path
from lmle_core.artefact import Reference
from lmle_core.config import Config
from lmle_core.experiment import configured
from lmle_core.location import Location
from lmle_core.methods.catalogue import DEFAULT_METHODS, Method, find_method
from lmle_core.training import images_seen
from tasks.compare import comparison, publish_comparison
from tasks.gates import check_data, check_settings, check_tracking
from tasks.pipeline import Stages
from tasks.record_comparison import record_comparison
from tasks.revision import git_revision
from tasks.stage import done
from tasks.storage import sharing
from tasks.unfinished import finish
from tasks.workers import Workers

DEFAULTS = Config()
SLACK = 0.05
"""Epochs in which methods may differ: batches are whole."""
NAME = re.compile(r"\w[\w.-]*")
"""Of a comparison: a folder has it."""


@flow(name="compare")
def compare(
    config: Config = DEFAULTS,
    methods: tuple[str, ...] = DEFAULT_METHODS,
    seeds: int = 3,
    study: str = "comparison",
    directory: Location | None = None,
    trial_seeds: int = 3,
) -> dict[str, str]:
    """Train every method from every seed on the same data, and compare the first one with all others.

    The settings of a method are chosen once, among its trials, on the validation splits of the first seeds.
    Experiments run in processes of their own, one a core or a GPU.

    Args:
        config: data, trunk and budget; its seed is the first one.
        methods: names of the catalogue; the first is the reference that the others are compared with.
        seeds: how many. Each draws its own procedural faces or digits; a folder's images are the same for all.
        study: name of the comparison.
        directory: a folder in CelebA's layout, or its URL; replaces `config.data.directory` where given.
        trial_seeds: seeds from which each trial is trained, to choose by their mean; all where there are fewer.

    Returns:
        `comparison`: the directory of its tables and figures.
    """
    if directory is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"directory": directory})})
    chosen = [find_method(name) for name in dict.fromkeys(methods)]
    _check_request(config, chosen, seeds, trial_seeds, study)
    workspace = workspace_path(config.engines.workspace)
    check_settings(config)
    workspace.mkdir(parents=True, exist_ok=True)
    check_tracking(config, workspace)
    with sharing(config.engines, workspace):
        numbers = range(config.seed, config.seed + seeds)
        stores = _stores(config, numbers, study, workspace)
        runs = Runs(config, stores, study, workspace)
        first = numbers[:trial_seeds]
        tries = [(method, seed, each) for seed in first for method in chosen for each in method.trials]
        runs.train(tries, trials=True)
        trials = {method.name: runs.tried(method, first) for method in chosen}
        best = {
            name: max(tried, key=lambda each: each["validation"] or 0)["settings"] for name, tried in trials.items()
        }
        jobs = [(method, seed, best[method.name]) for seed in numbers for method in chosen]
        runs.train(jobs)
        found = [runs.made[key_of(job)] for job in jobs]
        shared = config.data.directory is not None or config.data.source == "digits"
        compared = done(
            comparison, experiments=found, reference=(chosen[0].name, chosen[0].rules[0]), trials=trials,
            shared=shared, study=study, config=config.view("seed", "evaluation.bootstrap"), workspace=workspace,
        )  # fmt: skip
        record_comparison(compared, found, study, config, workspace)
        made = {
            "revision": git_revision(),
            "config": config.identity(),
            "folder": config.data.directory is not None,
            "rules": {method.name: method.rules[0] for method in chosen},
        }
        published = publish_comparison(compared, study, made, workspace)
        finish(workspace, study)
        create_markdown_artifact((published / "comparison.md").read_text(), key="comparison", description=study)
        return {"comparison": str(published)}


def _stores(config: Config, seeds: Sequence[int], study: str, workspace: Path) -> dict[int, Reference]:
    stores = {}
    with Workers(config.engines) as workers:
        for seed in seeds:
            stages = Stages(config.model_copy(update={"seed": seed}), workspace, workers, purpose=study)
            stores[seed] = stages.store()
            check_data(stores[seed], config)
    return stores


def _check_request(config: Config, methods: Sequence[Method], seeds: int, trial_seeds: int, study: str) -> None:
    """Refuse what no comparison can be made of, before any stage. Raises UsageError or ConfigError."""
    if not methods or seeds < 1:
        raise UsageError(f"expected at least one method and one seed, found {len(methods)} and {seeds}")
    if trial_seeds < 1:
        raise UsageError(f"expected settings to be tried on at least one seed, found trial_seeds {trial_seeds}")
    if not NAME.fullmatch(study) or study.endswith(".partial"):
        raise UsageError(
            f"the comparison's name {study!r} is to name a folder: expected letters, digits, '.', '_', '-', and "
            "another end than .partial"
        )
    if config.prior.kind != "bce":
        raise UsageError(
            f"prior.kind {config.prior.kind!r} would give LMLE more than images and labels, which are all that other "
            "methods get: compare with 'bce'"
        )
    for method in methods:
        for settings in method.trials:
            own, _ = configured(config, settings)
            found, others = (images_seen(each, 10**6, rounds=method.rounds) / 10**6 for each in (own, config))
            if abs(found - method.budget * others) > SLACK:
                raise UsageError(
                    f"{method.name} would train for {found:.1f} epochs, the others for {others:.1f}: it fits the "
                    "presets of the studies, such as --preset study-digits"
                )
