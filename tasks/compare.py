"""Tasks: one experiment of a comparison, and what all of them come to."""

import json
import shutil
from collections.abc import Mapping
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from lmle_core.artefact import Reference, lock, settle
from lmle_core.config import Config
from lmle_core.device import choose_device, set_threads
from lmle_core.experiment import run_experiment
from lmle_core.methods.catalogue import find_method
from lmle_core.store import ImageStore
from tasks.progress import Progress
from tasks.stage import stage

VIEW = ("seed", "trunk", "prior", "cluster", "quintuplets", "loss", "training", "index")
"""What of the configuration an experiment depends on."""

_place: list[str] = []
"""In a process of a pool: the device of its experiments, one after another."""


def take_place(places: "SimpleQueue[str]") -> None:
    """In a process of a pool, when it begins: take a device, so that no other process of the pool has this place."""
    _place.append(places.get())


@stage("experiment", "lmle_core.experiment", resume=True)
def experiment(
    directory: Path,
    store: Reference,
    method: str,
    settings: dict[str, Any],
    config: Config,
    workspace: Path,
) -> None:
    """Train a method with one choice of settings from one seed, and score it; several comparisons may have it.

    It computes where its process has a place (see `take_place`), else on the configured device.
    """
    set_threads(config.engines.threads)
    run_experiment(
        ImageStore.open(store.path),
        find_method(method),
        settings,
        config,
        choose_device(_place[0] if _place else config.engines.device),
        directory,
        progress=Progress(f"{method} {config.seed}", "iterations"),
    )


@stage("comparison", "lmle_core.comparison.files")
def comparison(
    directory: Path,
    experiments: list[Reference],
    reference: tuple[str, str],
    trials: dict[str, list[dict[str, Any]]],
    shared: bool,
    study: str,
    config: Config,
    workspace: Path,
) -> None:
    """Tables and figures of all experiments of a study; see `write_comparison`."""
    from lmle_core.comparison.files import write_comparison

    found = [Path(each.path) for each in experiments]
    write_comparison(directory, found, reference, trials, shared=shared, study=study, config=config)


def validation_of(experiment: Reference, rule: str) -> float:
    """Mean balanced accuracy on the validation split of an experiment, by one of its rules."""
    return float(json.loads((Path(experiment.path) / f"{rule}.json").read_text())["validation"])


def publish_comparison(compared: Reference, study: str, made: Mapping[str, Any], workspace: Path) -> Path:
    """Put a comparison's files where its name is, `<workspace>/comparisons/<study>/`; an older one is replaced.

    Args:
        compared: the comparison.
        study: its name.
        made: how it was made; goes into its `made.json`.
        workspace: where it goes.
    """
    target = workspace / "comparisons" / study
    partial = target.with_name(f"{study}.partial")
    with lock(target):
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(compared.path, partial)
        (partial / "made.json").write_text(json.dumps(made, indent=1))
        settle(partial, target)
    return target
