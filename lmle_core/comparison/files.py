"""The files of a comparison: its tables and figures, and what they are made from."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.comparison.standing import Key
from lmle_core.comparison.tables import Comparison
from lmle_core.config import Config
from lmle_core.figures.comparison import differences, gains_against_imbalance
from lmle_core.figures.style import save
from lmle_core.methods.catalogue import METHODS
from lmle_core.methods.titles import TITLES


def write_comparison(
    directory: Path,
    experiments: Sequence[Path],
    reference: Key,
    trials: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    shared: bool,
    study: str,
    config: Config,
) -> None:
    """Compare experiments, and write what comes of it.

    Args:
        directory: gets comparison.json, comparison.md, comparison.csv, figures/, and what they are made from:
            trials.json, and samples.json with the scores of every seed.
        experiments: the directories of those of each method and seed.
        reference: method and rule that the others are compared with.
        trials: of each method, what was tried on the validation split and how well it did.
        shared: every seed has the same test images.
        study: name of the comparison.
        config: bootstrap and its seed.
    """
    found, truths = [], {}
    for each in experiments:
        rules = [path.stem for path in sorted(each.glob("*.json")) if is_experiment(path)]
        known = [Experiment.load(each, rule) for rule in rules]
        found += known
        truths[known[0].seed] = Truth.load(each)
    compared = Comparison.of(
        found, truths, reference, study=study, shared=shared, bootstrap=config.evaluation.bootstrap, seed=config.seed,
    )  # fmt: skip
    (directory / "comparison.json").write_text(json.dumps(compared.to_json(), indent=1))
    own = {name: method.rules[0] for name, method in METHODS.items()}
    page = [compared.overview(TITLES, own), compared.markdown(TITLES)]
    (directory / "comparison.md").write_text("\n\n".join(page) + "\n")
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


def is_experiment(path: Path) -> bool:
    """Whether a JSON file of an experiment's directory holds scores."""
    return path.with_suffix(".npz").exists()


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
