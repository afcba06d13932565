"""Tasks: one experiment of a comparison, and what all of them come to."""

import csv
import json
import shutil
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from lmle_core.artefact import Reference
from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.config import Config
from lmle_core.device import choose_device, set_threads
from lmle_core.experiment import run_experiment
from lmle_core.methods.catalogue import find_method
from lmle_core.methods.titles import TITLES
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


@stage("comparison", "lmle_core.figures.comparison")
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
    """Tables and figures of all experiments of a study.

    Args:
        directory: gets comparison.json, comparison.md, comparison.csv, figures/, and what they are made from:
            trials.json, and samples.json with the scores of every seed.
        experiments: of each method and seed.
        reference: method and rule that the others are compared with.
        trials: of each method, what was tried on the validation split and how well it did.
        shared: every seed has the same test images.
        study: name of the comparison.
        config: bootstrap and its seed.
        workspace: where artefacts go.
    """
    from lmle_core.comparison.tables import Comparison
    from lmle_core.figures.comparison import differences, gains_against_imbalance
    from lmle_core.figures.style import save

    found, truths = [], {}
    for each in map(Path, (reference.path for reference in experiments)):
        rules = [path.stem for path in sorted(each.glob("*.json")) if is_experiment(path)]
        known = [replace(Experiment.load(each, rule), study=study) for rule in rules]
        found += known
        truths[known[0].seed] = Truth.load(each)
    compared = Comparison.of(
        found, truths, reference, shared=shared, bootstrap=config.evaluation.bootstrap, seed=config.seed
    )
    (directory / "comparison.json").write_text(json.dumps(compared.to_json(), indent=1))
    (directory / "comparison.md").write_text(compared.markdown(TITLES) + "\n")
    (directory / "trials.json").write_text(json.dumps(trials, indent=1))
    (directory / "samples.json").write_text(json.dumps([_sample(each) for each in found]))
    rows = compared.rows()
    with (directory / "comparison.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figures = directory / "figures"
    figures.mkdir()
    save(differences(compared, TITLES), figures / "differences.png")
    for number, figure in enumerate(gains_against_imbalance(compared, TITLES), 1):
        save(figure, figures / f"gains_against_imbalance_{number}.png")


def validation_of(experiment: Reference, rule: str) -> float:
    """Mean balanced accuracy on the validation split of an experiment, by one of its rules."""
    return float(json.loads((Path(experiment.path) / f"{rule}.json").read_text())["validation"])


def _sample(experiment: Experiment) -> dict[str, Any]:
    """The scores of one seed, as a record keeps them."""
    known = {"annotated": experiment.test, "clean": experiment.test_clean}
    return {
        "method": experiment.method,
        "rule": experiment.rule,
        "seed": experiment.seed,
        "settings": dict(experiment.settings),
        "validation": round(experiment.validation, 6),
        "spread": experiment.spread,
        "seconds": experiment.seconds,
        "images_seen": experiment.images_seen,
        **{
            name: {
                "mean": round(scores.mean_balanced_accuracy, 6),
                "attributes": [round(row.balanced_accuracy or 0.0, 4) for row in scores.attributes],
            }
            for name, scores in known.items()
            if scores is not None
        },
    }


def publish_comparison(compared: Reference, study: str, workspace: Path) -> Path:
    """Put a comparison's files where its name is, `<workspace>/comparisons/<study>/`; an older one is replaced."""
    target = workspace / "comparisons" / study
    partial = target.with_name(f"{study}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(compared.path, partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target


def is_experiment(path: Path) -> bool:
    """Whether a JSON file of an experiment's directory holds scores."""
    return path.with_suffix(".npz").exists()
