"""Task: how far the store's new training images are from those that the champion was trained on."""

import json
from pathlib import Path

import numpy as np

from lmle_core.artefact import Reference
from lmle_core.classifier import MANIFEST, MODEL, Classifier
from lmle_core.config import Engines
from lmle_core.device import choose_device, set_threads
from lmle_core.drift import compare
from lmle_core.figures.drift import drift_figure
from lmle_core.figures.style import save
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training_profile import TrainingProfile
from tasks.stage import stage

DRIFT, TEXT = "drift.json", "drift.md"


@stage("drift", "lmle_core.figures.drift")
def drift(
    directory: Path, store: Reference, champion: Reference, threshold: float, engines: Engines, workspace: Path
) -> None:
    """Write drift.json, and drift.csv, drift.md and drift.png; or the reason why there is no drift to measure.

    New are the training images whose names the champion was not trained on; all of them, where it knows every name and
    the store differs from its own in content.
    """
    set_threads(engines.threads)
    images = ImageStore.open(store.path)
    model = Path(champion.path) / MODEL
    known = TrainingProfile.load(model)
    if known is None or not len(known):
        _skip(directory, "the champion came without a profile of what it was trained on")
        return
    rows = images.rows(TRAIN)
    fresh = rows[~np.isin([images.filenames[row] for row in rows], known.names)]
    if not len(fresh):
        if json.loads((model / MANIFEST).read_text()).get("trained_on") == images.digest:
            _skip(directory, "the champion was trained on these very images")
            return
        fresh = rows
    classifier = Classifier.load(Path(champion.path), str(choose_device(engines.device)))
    found = compare(known, TrainingProfile.by(classifier, images, fresh), threshold)
    (directory / DRIFT).write_text(json.dumps(found.to_json(), indent=1))
    (directory / TEXT).write_text(found.markdown() + "\n")
    found.write_csv(directory / "drift.csv")
    save(drift_figure(found), directory / "drift.png")


def _skip(directory: Path, reason: str) -> None:
    (directory / DRIFT).write_text(json.dumps({"skipped": reason}))
    (directory / TEXT).write_text(f"Not measured: {reason}.\n")


def drift_text(measured: Reference) -> str:
    """The drift as Markdown."""
    return (Path(measured.path) / TEXT).read_text()


def drift_said(measured: Reference) -> str:
    """The drift in a line."""
    found = json.loads((Path(measured.path) / DRIFT).read_text())
    if "skipped" in found:
        return f"not measured: {found['skipped']}"
    warnings = found["warnings"]
    named = f"{', '.join(warnings[:3])}{', …' if len(warnings) > 3 else ''}"
    return f"{found['new']:,} new images, {f'{len(warnings)} warnings: {named}' if warnings else 'no warning'}"
