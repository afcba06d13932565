"""A comparison in MLflow: one parent run with its tables and figures, and a child run for each method and seed."""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lmle_core.artefact import MARKER, Reference
from lmle_core.comparison.experiment import Experiment
from lmle_core.comparison.files import is_experiment
from lmle_core.config import Config
from lmle_core.methods.catalogue import METHODS
from tasks.mlflow_entities import flatten
from tasks.mlflow_store import connect, find_experiment, own_artifacts, tracking_uri

COMPARISON_TAG, EXPERIMENT_TAG = "lmle.comparison", "lmle.experiment"
DESCRIPTION = "mlflow.note.content"
"""Tag that MLflow's page of a run shows as Markdown."""
LONGEST = 8000
"""Characters that MLflow keeps of a tag."""
SUFFIX = "-comparisons"
"""Of the name of MLflow's experiment: comparisons have metrics of their own, and few of them."""


def record_comparison(
    compared: Reference, experiments: Sequence[Reference], study: str, config: Config, workspace: Path
) -> str:
    """Record a comparison and its experiments once; what is there already is left as it is.

    Args:
        compared: artefact of the comparison.
        experiments: of every method and seed.
        study: its name.
        config: of the comparison.
        workspace: whose MLflow store is used where the configuration names none.

    Returns:
        MLflow's identity of the parent run.
    """
    uri = tracking_uri(config.engines, workspace)
    client = connect(uri)
    artifacts = own_artifacts(uri, workspace)
    home = find_experiment(client, config.engines.experiment + SUFFIX, artifacts)
    parent = _find(client, home, COMPARISON_TAG, compared.digest)
    if parent is None:
        parent = client.create_run(home, run_name=study, tags={COMPARISON_TAG: compared.digest}).info.run_id
    for reference in experiments:
        _record_experiment(client, home, parent, reference)
    directory = Path(compared.path)
    summary = json.loads((directory / "comparison.json").read_text())
    first = next(each for each in summary["standings"] if [each["method"], each["rule"]] == summary["reference"])
    metrics = {name: estimate["mean"] for name, estimate in first["scores"].items() if estimate is not None}
    balanced = first["scores"]["balanced_accuracy"]
    metrics |= {f"balanced_accuracy_{end}": balanced[end] for end in ("low", "high")}
    if client.get_run(parent).info.status != "FINISHED":
        _log(client, parent, metrics, {**flatten(config.identity()), "methods": json.dumps(_methods(summary))})
        client.log_artifacts(parent, str(directory))
        client.set_tag(parent, DESCRIPTION, _shortened((directory / "comparison.md").read_text()))
        client.set_terminated(parent, "FINISHED")
    return str(parent)


def _shortened(page: str) -> str:
    """As many whole lines of a page as a tag may hold."""
    if len(page) <= LONGEST:
        return page
    rest = "\n\nThe whole is the artifact `comparison.md`."
    return page[: page.rfind("\n", 0, LONGEST - len(rest))] + rest


def _record_experiment(client: Any, home: str, parent: str, reference: Reference) -> None:
    tag = f"{parent} {reference.digest}"
    if (found := _find(client, home, EXPERIMENT_TAG, tag)) is not None:
        if client.get_run(found).info.status == "FINISHED":
            return
        client.delete_run(found)  # of a recording that was killed
    directory = Path(reference.path)
    experiment = _own(directory)
    name = f"{experiment.method} seed {experiment.seed}"
    ended = (directory / MARKER).stat().st_mtime
    begun = round(1000 * (ended - experiment.seconds))
    run = client.create_run(home, begun, {"mlflow.parentRunId": parent, EXPERIMENT_TAG: tag}, name).info.run_id
    test, ranking = experiment.test, experiment.ranking
    metrics = {
        "balanced_accuracy": test.mean_balanced_accuracy,
        "balanced_accuracy_clean": experiment.test_clean.mean_balanced_accuracy if experiment.test_clean else None,
        "balanced_accuracy_validation": experiment.validation,
        "total_accuracy": test.mean_total_accuracy,
        "worst_five": test.worst_five_balanced_accuracy,
        "tpr": test.mean_tpr,
        "tnr": test.mean_tnr,
        "average_precision": ranking.mean_average_precision,
        "roc_auc": ranking.mean_roc_auc,
        "mcc": ranking.mean_mcc,
        "spread": experiment.spread,
        "seconds": experiment.seconds,
    }
    settings = ", ".join(f"{name} {value}" for name, value in experiment.settings.items())
    parameters = {"method": experiment.method, "rule": experiment.rule, "seed": str(experiment.seed)}
    _log(client, run, metrics, {**parameters, "settings": settings or "defaults"})
    for file in sorted(path for path in directory.iterdir() if path.is_file()):  # the networks stay in the workspace
        client.log_artifact(run, str(file))
    client.set_terminated(run, "FINISHED", round(1000 * ended))


def _own(directory: Path) -> Experiment:
    """The experiment as the method's own rule decides."""
    any_rule = next(filter(is_experiment, directory.glob("*.json")))
    method = METHODS[json.loads(any_rule.read_text())["method"]]
    return Experiment.load(directory, method.rules[0])


def _methods(summary: Mapping[str, Any]) -> list[str]:
    return sorted({each["method"] for each in summary["standings"]})


def _find(client: Any, home: str, tag: str, value: str) -> str | None:
    page = client.search_runs([home], f"tags.`{tag}` = '{value}'", max_results=1)
    return str(page[0].info.run_id) if page else None


def _log(client: Any, run: str, metrics: Mapping[str, float | None], parameters: Mapping[str, str]) -> None:
    entities = import_module("mlflow.entities")
    start = client.get_run(run).info.start_time
    points = [entities.Metric(key, value, start, 0) for key, value in metrics.items() if value is not None]
    client.log_batch(run, metrics=points, params=[entities.Param(key, value) for key, value in parameters.items()])
