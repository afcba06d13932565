"""Runs of a workspace, found by name, and models found by run, path or registry address."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.exits import UsageError
from lmle_core.payload import SUFFIXES
from lmle_core.spelling import did_you_mean

if TYPE_CHECKING:  # heavy; the commands that need them import them
    from lmle_core.classifier import Classifier
    from lmle_core.config import Engines

BATCH = 256
ADDRESS = re.compile(r"(models|runs|mlflow-artifacts):")
"""Of a model in MLflow."""
PLACES = {"store": ("stores/*.zarr", "stages/digits/*"), "features": ("stages/features/*",)}
"""Where a workspace keeps what a run was made of."""


@dataclass(frozen=True)
class Run:
    """A finished run: its directory and its summary."""

    path: Path
    summary: dict[str, Any]

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name


def runs(workspace: Path) -> list[Run]:
    """The workspace's finished runs, the newest last."""
    found = []
    for path in (workspace / "runs").glob("*/summary.json"):
        if not path.parent.name.endswith(".partial"):
            with suppress(FileNotFoundError):  # `lmle gc` is removing it
                found.append((path.stat().st_mtime_ns, Run(path.parent, json.loads(path.read_text()))))
    return [run for _, run in sorted(found, key=itemgetter(0))]


def find_run(workspace: Path, name: str) -> Run:
    """A run by its name, the beginning of it, its path, or `latest`.

    Raises:
        UsageError: where there is none, naming the nearest or listing what there is.
    """
    if (Path(name) / "summary.json").is_file():
        return Run(Path(name), json.loads((Path(name) / "summary.json").read_text()))
    known = runs(workspace)
    if not known:
        raise UsageError(f"no run in {workspace / 'runs'}: `lmle run` makes one, or name another --workspace")
    matching = [run for run in known if run.name == name] or [run for run in known if run.name.startswith(name)]
    if name == "latest":
        return known[-1]
    if len(matching) == 1:
        return matching[0]
    names = [run.name for run in matching or known]
    if matching:
        raise UsageError(f"{name!r} begins several runs' names: {', '.join(names)}")
    hint = did_you_mean(name, names) or f"there are: {', '.join(names[-10:])}, or latest"
    raise UsageError(f"no run {name!r} in {workspace / 'runs'}; {hint}")


def find_model_run(workspace: Path, name: str) -> Run:
    """The run of a name as of `find_run`, or the one that made the model at an MLflow address.

    Raises:
        UsageError: where there is none.
    """
    if not ADDRESS.match(name):
        return find_run(workspace, name)
    from flows.local import answering_mlflow
    from tasks.mlflow_store import TrackingError
    from tasks.models import run_of

    uri = answering_mlflow(workspace)
    try:
        return find_run(workspace, run_of(name, uri))
    except TrackingError as error:
        raise UsageError(str(error)) from None


def artefact_of(run: Run, part: Literal["store", "features"], workspace: Path) -> Path:
    """Where the image store, or the last round's embeddings, of a run are: in the run's own workspace, or another.

    Raises:
        UsageError: where they are no more.
    """
    from lmle_core.artefact import committed, read_commit

    record = read_commit(run.path)
    if record is None:
        raise UsageError(f"{run.path}: not the whole directory of a finished run; the same `lmle run` makes it again")
    digest = record["inputs"]["parts"][part]
    places = dict.fromkeys((run.path.resolve().parents[1], workspace.resolve()))
    for directory in (found for place in places for pattern in PLACES[part] for found in place.glob(pattern)):
        reference = committed(directory)
        if reference is not None and reference.digest == digest:
            return directory
    raise UsageError(
        f"the {'images' if part == 'store' else 'embeddings'} of run {run.name} are gone: nothing in "
        f"{' or '.join(map(str, places))} has their digest {digest}; the same `lmle run` makes them again"
    )


@dataclass(frozen=True)
class Classified:
    """What a model says of a file: class and margin of each attribute."""

    file: Path
    labels: dict[str, int]
    margins: dict[str, float]


def model_directory(workspace: Path, name: str, engines: "Engines | None" = None) -> Path:
    """The absolute folder with `model/` and `index/` of a run, or of an MLflow address as `models:/lmle@champion`.

    Args:
        workspace: of the runs; keeps what is fetched from MLflow.
        name: the run's, its path, or the address.
        engines: which MLflow; None: MLFLOW_TRACKING_URI, else that of the workspace's services or its own.

    Raises:
        UsageError: where there is none.
    """
    if not ADDRESS.match(name):
        return (Path(name) if (Path(name) / "model").is_dir() else find_run(workspace, name).path).resolve()
    from flows.local import answering_mlflow
    from tasks.mlflow_store import TrackingError
    from tasks.models import fetch_model

    uri = answering_mlflow(workspace, engines)
    try:
        return fetch_model(name, uri, workspace)
    except TrackingError as error:
        raise UsageError(str(error)) from None


def classify_files(classifier: "Classifier", files: Sequence[Path]) -> tuple[list[Classified], list[str]]:
    """Classify image files, in batches.

    Returns:
        The answers, and what is wrong with each file that has none: it cannot be read or decoded.
    """
    import numpy as np

    found: list[Classified] = []
    wrong: list[str] = []
    for start in range(0, len(files), BATCH):
        decoded: list[Path] = []
        pixels = np.empty((BATCH, *classifier.shape), np.uint8)
        for file in files[start : start + BATCH]:
            try:
                classifier.decode(file.read_bytes(), pixels[len(decoded)])
                decoded.append(file)
            except (OSError, ValueError) as error:
                wrong.append(f"{file}: {getattr(error, 'strerror', None) or error}")
        answers = classifier.classify_pixels(pixels[: len(decoded)])
        for file, row, confidence in zip(decoded, answers.labels.tolist(), answers.margins.tolist(), strict=True):
            found.append(
                Classified(
                    file,
                    dict(zip(classifier.attributes, row, strict=True)),
                    dict(zip(classifier.attributes, (round(margin, 4) for margin in confidence), strict=True)),
                )
            )
    return found, wrong


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files, and for a folder every image file under it, in order.

    Raises:
        UsageError: for a path that is not there, or a folder without images.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise UsageError(f"{path}: no image in this folder (looked for {', '.join(SUFFIXES)})")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder")
    return files
