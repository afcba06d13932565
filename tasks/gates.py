"""Checks between the stages of a flow: what stops a run, before expensive work or instead of a bad result."""

import json
from pathlib import Path

import numpy as np

from lmle_core.artefact import Reference
from lmle_core.config import Config
from lmle_core.health import Collapse
from lmle_core.store import TEST, TRAIN, VALID, ImageStore


class UnusableDataError(ValueError):
    """Data that no classifier can be trained or judged on."""


class QualityGateError(RuntimeError):
    """A finished run whose result is not good enough to be used."""


def check_data(store: Reference) -> None:
    """Refuse a store with an empty split, or an attribute of which training sees one class only."""
    images = ImageStore.open(store.path)
    for split, name in ((TRAIN, "train"), (VALID, "valid"), (TEST, "test")):
        if not len(images.rows(split)):
            raise UnusableDataError(
                f"{store.path}: no image in the split {name!r}; list_eval_partition needs 0 (train), 1 (valid) and "
                "2 (test)"
            )
    labels = images.labels[images.rows(TRAIN)]
    constant = [images.attributes[a] for a in np.flatnonzero((labels == labels[0]).all(0))]
    if constant:
        raise UnusableDataError(
            f"{len(constant)} attributes have a single class among the {len(labels)} training images: "
            f"{', '.join(constant[:10])}; choose the others with data.attributes, or add images"
        )


def check_health(health: Reference, config: Config) -> None:
    """Raise Collapse where an attribute's embedding has collapsed in a round."""
    found = json.loads((Path(health.path) / "health.json").read_text())
    low = {name: value for name, value in found["spreads"].items() if value < config.evaluation.least_spread}
    if low:
        hinge = config.loss.kind == "hinge" and config.loss.margins is not None and found["loss"]
        raise Collapse(
            low,
            config.evaluation.least_spread,
            sum(value for name, value in found["loss"].items() if name.startswith("header")) if hinge else None,
            sum(config.loss.margins or ()) if hinge else None,
        )


def check_quality(run: Reference, config: Config) -> None:
    """Raise QualityGateError where the run's test score misses the configured gate."""
    summary = json.loads((Path(run.path) / "summary.json").read_text())
    reached, wanted = summary["test"]["mean_balanced_accuracy"], config.evaluation.least_balanced_accuracy
    if reached < wanted:
        raise QualityGateError(
            f"mean balanced accuracy on the test split is {reached:.4f}, and evaluation.least_balanced_accuracy asks "
            f"for {wanted:.4f}; the run is kept in {run.path}"
        )
