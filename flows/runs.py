"""Runs of a workspace, found by name, and models found by run, path or registry address."""

import difflib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.exits import UsageError

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
BATCH = 256


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
    found = sorted((workspace / "runs").glob("*/summary.json"), key=lambda path: path.stat().st_mtime_ns)
    return [
        Run(path.parent, json.loads(path.read_text())) for path in found if not path.parent.name.endswith(".partial")
    ]


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
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names[-10:])}, or latest"
    raise UsageError(f"no run {name!r} in {workspace / 'runs'}; {hint}")


@dataclass(frozen=True)
class Classified:
    """What a model says of a file: class and margin of each attribute."""

    file: Path
    labels: dict[str, int]
    margins: dict[str, float]


Classify = Callable[[list[bytes]], tuple[Sequence[str], np.ndarray, np.ndarray]]


def load_model(workspace: Path, name: str, tracking_uri: Callable[[], str]) -> Classify:
    """The classifier of a run, or of an MLflow address such as `models:/lmle@champion`.

    Raises:
        UsageError: where there is none.
    """
    if re.match(r"(models|runs|mlflow-artifacts):", name):
        return _registered(name, tracking_uri())
    from lmle_core.classifier import Classifier

    directory = Path(name) if (Path(name) / "model").is_dir() else find_run(workspace, name).path
    classifier = Classifier.load(directory)

    def classify(images: list[bytes]) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        found = classifier.classify(images)
        return classifier.attributes, found.labels, found.margins

    return classify


def classify_files(classify: Classify, files: Sequence[Path]) -> list[Classified]:
    """Classify image files, in batches.

    Raises:
        UsageError: for a file that cannot be read or decoded.
    """
    found: list[Classified] = []
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        try:
            attributes, labels, margins = classify([_read(file) for file in batch])
        except ValueError as error:
            position = re.search(r"image (\d+): (.*)", str(error), re.DOTALL)
            if position is None:
                raise
            raise UsageError(f"{batch[int(position[1])]}: {position[2]}") from None
        for file, row, confidence in zip(batch, labels.tolist(), margins.tolist(), strict=True):
            found.append(
                Classified(
                    file,
                    dict(zip(attributes, row, strict=True)),
                    dict(zip(attributes, (round(margin, 4) for margin in confidence), strict=True)),
                )
            )
    return found


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files, and for a folder every image file under it, in order.

    Raises:
        UsageError: for a path that is not there, or a folder without images.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGES)
            if not inside:
                raise UsageError(f"{path}: no image in this folder (looked for {', '.join(IMAGES)})")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder")
    return files


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None


def _registered(name: str, tracking_uri: str) -> Classify:
    import pandas as pd

    from tasks.mlflow_store import quiet_mlflow

    mlflow = quiet_mlflow()
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    try:
        model = mlflow.pyfunc.load_model(name)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise UsageError(f"{name}: no such model in {tracking_uri} ({error})") from None

    def classify(images: list[bytes]) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        table = model.predict(pd.DataFrame({"image": images}))
        attributes = [column for column in table.columns if f"{column}_margin" in table.columns]
        margins = table[[f"{attribute}_margin" for attribute in attributes]].to_numpy()
        return attributes, table[attributes].to_numpy(), margins

    return classify
