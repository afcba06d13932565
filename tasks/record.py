"""A run in MLflow: what the flow tells the tracker, taken from the artefacts."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import simplejpeg

from lmle_core.artefact import Reference
from lmle_core.changes import DataChanges
from lmle_core.config import Config
from lmle_core.gallery import joined_steps
from lmle_core.publish import describe
from lmle_core.store import TEST, ImageStore
from tasks.champions import deciding
from tasks.mlflow_store import check_reachable, shown
from tasks.progress import say
from tasks.registry import RegisteredModel
from tasks.tracking import METRICS, SCORES, Tracker

ARTIFACTS = ("summary.json", "timings.json", "attributes.csv", "predictions.parquet", "report.html")


@contextmanager
def recorded(run: str, store: Reference, config: Config, code: str, workspace: Path) -> Iterator[Tracker]:
    """Find or make the run's record; an error, or an interrupt, closes it with its reason."""
    tracker = Tracker.open(config.engines, workspace, run, run)
    tracker.start(config, describe(ImageStore.open(store.path)), code=code)
    try:
        if (changes := DataChanges.load(Path(store.path))) is not None:
            tracker.data_changes(changes)
        yield tracker
    except Exception as error:
        _fail(tracker, f"{type(error).__name__}: {error}")
        raise
    except BaseException:  # KeyboardInterrupt, or Prefect's TerminationSignal
        _fail(tracker, "interrupted", interrupted=True)
        raise


def _fail(tracker: Tracker, reason: str, *, interrupted: bool = False) -> None:
    """Close the record; where MLflow is gone too, that is said, and what it was about stays the error."""
    try:
        check_reachable(tracker.uri)
        tracker.fail(reason, interrupted=interrupted)
    except Exception as error:
        say(f"{'mlflow':<12} the record of this run stays open: {shown(error)}")


def record_round(tracker: Tracker, health: Reference, networks: Sequence[Reference]) -> None:
    """Record a round: its health and, from round 1, the curves and the speed of its training."""
    figures: dict[str, Any] = json.loads((Path(health.path) / "health.json").read_text())
    metrics = {name: figures["validation"][name] for name in SCORES if figures["validation"].get(name) is not None}
    metrics["spread"] = figures["spread"]["mean"]
    metrics |= {name: figures[name] for name in ("nmi", "active_share") if figures[name] is not None}
    metrics |= {f"loss_{name}": value for name, value in (figures["loss"] or {}).items()}
    curves: dict[str, list[tuple[int, float]]] = {}
    if networks:
        rounds = [json.loads((Path(network.path) / "curves.json").read_text()) for network in networks]
        steps, points = joined_steps(rounds)[-1], rounds[-1]
        for name in METRICS.intersection(points[0]):
            curves[name] = [(step, point[name]) for step, point in zip(steps, points, strict=True)]
        speed = json.loads((Path(networks[-1].path) / "speed.json").read_text())
        metrics["images_per_second"] = speed["images"] / speed["seconds"]
    tracker.round(figures["round"], metrics, curves)


def record_results(tracker: Tracker, run: Reference) -> None:
    """Record the test scores and the run's files."""
    directory = Path(run.path)
    summary = json.loads((directory / "summary.json").read_text())
    tracker.finish(
        summary["test"],
        [directory / name for name in ARTIFACTS],
        sorted((directory / "figures").iterdir()),
    )


def register(tracker: Tracker, run: Reference, store: Reference, config: Config, workspace: Path) -> RegisteredModel:
    """Register the run's model, with one of the test images as its example; the first one becomes champion."""
    images = ImageStore.open(store.path)
    row = images.rows(TEST)[0]
    example = simplejpeg.encode_jpeg(images.gather([row])[0].transpose(1, 2, 0).copy(), quality=95)
    with deciding(workspace):
        return tracker.register(Path(run.path), config.engines.model, images.attributes, example)
