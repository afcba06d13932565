"""The MLflow record of a run: one parent for the flow run, one child for each round, found again by our own tags.

Whatever is told twice is recorded once, so that a resumed or repeated flow continues its record. No state is global:
each call names its run.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from lmle_core.changes import DataChanges
from lmle_core.config import Config, Engines
from tasks.mlflow_entities import TABLE, attribute_table, dataset_input, flatten, table_tags
from tasks.mlflow_store import connect, every_page, find_experiment, own_artifacts, tracking_uri
from tasks.registry import RegisteredModel, register_model
from tasks.revision import git_revision

RUN_TAG, ROUND_TAG, FAILURE_TAG = "lmle.run", "lmle.round", "lmle.failure"
SCORES = ("mean_balanced_accuracy", "mean_total_accuracy", "worst_five_balanced_accuracy", "mean_tpr", "mean_tnr")
LOSSES = ("loss_header_1", "loss_header_2", "loss_header_3", "loss_class", "loss_cluster", "loss_bce")
HEALTH = ("active_share", "spread", "nmi", "images_per_second", "learning_rate")
METRICS = frozenset((*SCORES, *LOSSES, *HEALTH))
_BATCH = 900  # MLflow takes 1,000 entries in a batch, 100 of them parameters
Curve = Sequence[tuple[int, float]]


class Tracker:
    """Records one flow run; its parent run carries the tag `lmle.run`, its children `lmle.round` as well.

    Metrics of the parent: each round's health with step = round, and the test scores with step 0. Metrics of a child:
    training curves with step = iteration over all rounds, and the round's own figures, scores on the validation split
    among them. A step that a metric already has is not logged again. Timestamps are the run's start plus the step in
    milliseconds, so that they repeat.

    Attributes:
        run_id: MLflow's identity of the parent run; known after `start`.
    """

    def __init__(
        self, uri: str, experiment: str, run_digest: str, run_name: str, artifacts: Path | None = None
    ) -> None:
        """Connect; nothing is written yet.

        Args:
            uri: of the MLflow store or server.
            experiment: name of the experiment; made where it does not exist.
            run_digest: identifies the run; the same digest continues the same record.
            run_name: shown in the UI.
            artifacts: where a new experiment keeps its artifacts; None: as the server decides.
        """
        self._client = connect(uri)
        self.uri = uri
        self._experiment, self._artifacts = experiment, artifacts
        self._digest, self._name = run_digest, run_name
        self._experiment_id = ""
        self._start = 0
        self.run_id = ""

    @classmethod
    def open(cls, engines: Engines, workspace: Path, run_digest: str, run_name: str) -> Self:
        """A tracker as configured; the workspace's own store keeps its artifacts in `<workspace>/mlartifacts`."""
        uri = tracking_uri(engines, workspace)
        return cls(uri, engines.experiment, run_digest, run_name, own_artifacts(uri, workspace))

    def start(self, config: Config, data: Mapping[str, Any], *, code: str) -> str:
        """Find or make the parent run and record what it runs on.

        Args:
            config: its identity becomes parameters, which never change in MLflow; where things lie, which may be
                elsewhere when a run is resumed, becomes tags.
            data: as in summary.json: digest, images, split, quarantined, attributes.
            code: version of the code.

        Returns:
            MLflow's identity of the parent run.
        """
        self._experiment_id = self._find_experiment()
        tags = {
            "lmle.data": str(data["digest"]),
            "lmle.config": config.digest(),
            "lmle.code": code,
            "mlflow.source.name": "lmle",
            **{f"lmle.place.{name}": place for name, place in flatten(config.places()).items()},
        }
        if revision := git_revision():
            tags["mlflow.source.git.commit"] = revision
        run = self._find(None) or self._create(self._name, {RUN_TAG: self._digest})
        self.run_id, self._start = run.info.run_id, run.info.start_time
        self._log(self.run_id, tags=tags, parameters=flatten(config.identity()))
        self._log_data(data)
        self._reopen(run)  # last: a record that cannot be continued stays as it is
        return self.run_id

    def data_changes(self, changes: DataChanges) -> None:
        """Record what changed since the last store of the data: counts as tags, the rest as `data_changes.json`."""
        self._check_started()
        counts = {f"lmle.data.{name}": str(images.count) for name, images in changes.images().items()}
        self._log(self.run_id, tags={"lmle.data.previous": changes.previous, **counts})
        self._client.log_dict(self.run_id, asdict(changes), "data_changes.json")

    def round(self, number: int, metrics: Mapping[str, float], curves: Mapping[str, Curve] | None = None) -> str:
        """Record a round as a child run, and its health in the parent.

        Args:
            number: of the round; 0 is the prior features.
            metrics: the round's figures, keys from `METRICS`; losses are those at its end, scores are on validation.
            curves: (step, value) pairs of the round's iterations, keys likewise, steps counted over all rounds.

        Returns:
            MLflow's identity of the child run.
        """
        self._check_started()
        curves = curves or {}
        _refuse_unknown([*metrics, *curves])
        run = self._find(number)
        if run is None:
            tags = {RUN_TAG: self._digest, ROUND_TAG: str(number), "mlflow.parentRunId": self.run_id}
            run = self._create(f"{self._name} round {number}", tags)
        child = run.info.run_id
        self._reopen(run)
        self._log_metrics(child, {key: [(number, value)] for key, value in metrics.items() if key not in curves})
        self._log_metrics(child, curves)
        self._log_metrics(self.run_id, {key: [(number, value)] for key, value in metrics.items() if key not in SCORES})
        self._client.set_terminated(child, "FINISHED")
        return child

    def finish(self, scores: Mapping[str, Any], artifacts: Iterable[Path] = (), figures: Iterable[Path] = ()) -> None:
        """Record the test scores and the run's files, and close the parent run.

        Args:
            scores: as `Scores.to_json` returns them, or summary.json's entry `test`.
            artifacts: files for the run's top folder: summary.json, attributes.csv, report.html, ...
            figures: files for its folder `figures`.
        """
        self._check_started()
        present = {key: [(0, float(scores[key]))] for key in SCORES if scores.get(key) is not None}
        self._log_metrics(self.run_id, present)
        self._log_table(scores["attributes"])
        for path in artifacts:
            self._client.log_artifact(self.run_id, str(path))
        for path in figures:
            self._client.log_artifact(self.run_id, str(path), "figures")
        if FAILURE_TAG in self._client.get_run(self.run_id).data.tags:  # of an attempt before this one
            self._client.delete_tag(self.run_id, FAILURE_TAG)
        self._client.set_terminated(self.run_id, "FINISHED")

    def fail(self, reason: str, *, interrupted: bool = False) -> None:
        """Close the parent run as failed (or, if it can be resumed, as killed), with the reason in a tag."""
        self._check_started()
        self._log(self.run_id, tags={FAILURE_TAG: reason[:5000]})
        self._client.set_terminated(self.run_id, "KILLED" if interrupted else "FAILED")

    def register(self, run_directory: Path, name: str, attributes: Sequence[str], example: bytes) -> RegisteredModel:
        """Log the run's model as a pyfunc and give it a version in the registry, once a run.

        Args:
            run_directory: holds `model/` and `index/`.
            name: in the registry.
            attributes: the model's, in order.
            example: an image file's bytes, for the input example.
        """
        self._check_started()
        return register_model(
            self._client,
            self._experiment_id,
            self.run_id,
            {RUN_TAG: self._digest},
            run_directory,
            name=name,
            attributes=attributes,
            example=example,
        )

    def _find_experiment(self) -> str:
        return find_experiment(self._client, self._experiment, self._artifacts)

    def _find(self, number: int | None) -> Any:
        """The run of a round, or the parent for None; None where there is none."""
        wanted = None if number is None else str(number)
        condition = f"tags.`{RUN_TAG}` = '{self._digest}'"
        found = every_page(self._client.search_runs, [self._experiment_id], condition, order_by=["start_time"])
        return next((run for run in found if run.data.tags.get(ROUND_TAG) == wanted), None)

    def _create(self, name: str, tags: Mapping[str, str]) -> Any:
        return self._client.create_run(self._experiment_id, tags=dict(tags), run_name=name)

    def _reopen(self, run: Any) -> None:
        if run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")

    def _log_data(self, data: Mapping[str, Any]) -> None:
        if not self._client.get_run(self.run_id).inputs.dataset_inputs:
            self._client.log_inputs(self.run_id, [dataset_input(data)])

    def _log_table(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        """Written whole, since MLflow's own `log_table` appends to what is there."""
        self._client.log_dict(self.run_id, attribute_table(attributes), TABLE)
        self._log(self.run_id, tags=table_tags())

    def _log_metrics(self, run_id: str, curves: Mapping[str, Curve]) -> None:
        metric = import_module("mlflow.entities").Metric
        points = []
        for key, curve in curves.items():
            known = {point.step for point in self._client.get_metric_history(run_id, key)}
            for step, value in dict(curve).items():
                if step not in known:
                    points.append(metric(key, float(value), self._start + int(step), int(step)))
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])

    def _log(
        self, run_id: str, tags: Mapping[str, str] | None = None, parameters: Mapping[str, str] | None = None
    ) -> None:
        entities = import_module("mlflow.entities")
        run_tags = [entities.RunTag(key, value) for key, value in (tags or {}).items()]
        rows = [entities.Param(key, value) for key, value in (parameters or {}).items()]
        for start in range(0, max(1, len(rows)), 100):
            self._client.log_batch(run_id, params=rows[start : start + 100], tags=run_tags if start == 0 else ())

    def _check_started(self) -> None:
        if not self.run_id:
            raise RuntimeError("Tracker: expected start() before anything is recorded")


def _refuse_unknown(keys: Iterable[str]) -> None:
    """Few keys, all known: MLflow's UI draws a chart for each."""
    for key in keys:
        if key not in METRICS:
            close = difflib.get_close_matches(key, METRICS, n=1, cutoff=0)
            raise ValueError(f"metric {key!r}: expected one of {', '.join(sorted(METRICS))}; nearest is {close[0]!r}")
