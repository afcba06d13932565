"""A logged model of MLflow's, fetched once into the workspace, where every worker reads it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lmle_core.artefact import Reference, digest_of, make_once
from tasks.mlflow_store import TrackingError, asking, connect, every_page, quiet_mlflow, shown

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def fetch_model(address: str, tracking_uri: str, workspace: Path) -> Path:
    """The folder with `model/` and `index/` of the model at an address.

    Args:
        address: such as `models:/lmle@champion`; an alias that moves leads to another folder.
        tracking_uri: of MLflow.
        workspace: keeps the model.

    Raises:
        TrackingError: where there is no such model; an OSError is the disk's or the network's.
    """
    with _asked(_no_model(address, tracking_uri), tracking_uri) as mlflow:
        source = mlflow.get_logged_model(mlflow.models.get_model_info(address).model_id).artifact_location
    return Path(fetch_logged(source, tracking_uri, workspace).path)


def fetch_logged(source: str, tracking_uri: str, workspace: Path) -> Reference:
    """`model/` and `index/` of a logged model, in the workspace's `stages/model/`; the digest is that of their files.

    Args:
        source: where its artifacts lie, as versions in the registry have it.
        tracking_uri: of MLflow.
        workspace: keeps the model.

    Raises:
        TrackingError: where it cannot be read.
    """
    from lmle_core.classifier import files_digest  # slow to import

    def make(partial: Path, record: dict[str, Any]) -> None:
        missing = _no_model(source, tracking_uri)
        with TemporaryDirectory(dir=partial) as folder:
            for part in download(f"{source}/artifacts/run", tracking_uri, Path(folder), missing).iterdir():
                part.rename(partial / part.name)
        record["digest"] = files_digest(partial)

    return make_once(workspace / "stages" / "model" / digest_of(source), "model", {"source": source}, make)[0]


def download(artifact: str, tracking_uri: str, folder: Path, missing: str) -> Path:
    """A file or folder of MLflow's artifacts, copied into a folder; returns where it is now.

    By its own address: through its run, MLflow takes a full disk for a missing file.

    Args:
        artifact: address.
        tracking_uri: of MLflow.
        folder: gets it.
        missing: what to say where it is missing.

    Raises:
        TrackingError, OSError: as of `asking`.
    """
    with _asked(missing, tracking_uri) as mlflow:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=artifact, dst_path=str(folder)))


def run_of(address: str, tracking_uri: str) -> str:
    """Name of the run that made the model at an address.

    Raises:
        TrackingError: where there is no such model, or its record is gone.
    """
    from tasks.tracking import RUN_TAG

    with _asked(_no_model(address, tracking_uri), tracking_uri) as mlflow:
        run = mlflow.get_run(mlflow.models.get_model_info(address).run_id)
    if RUN_TAG not in run.data.tags:
        raise TrackingError(f"{address}: expected a model of `lmle run`, found one of MLflow run {run.info.run_id}")
    return str(run.data.tags[RUN_TAG])


def known_runs(tracking_uri: str) -> set[str]:
    """Names of all runs that MLflow has a record of. Raises TrackingError."""
    from tasks.tracking import RUN_TAG

    client = connect(tracking_uri)
    experiments = [each.experiment_id for each in every_page(client.search_experiments)]
    found = every_page(client.search_runs, experiments, f"tags.`{RUN_TAG}` LIKE '%'")
    return {run.data.tags[RUN_TAG] for run in found}


def runs_with_alias(tracking_uri: str) -> set[str]:
    """Names of the runs whose model an alias of the registry points to, as the champion's. Raises TrackingError."""
    from tasks.tracking import RUN_TAG

    client = connect(tracking_uri)
    versions = [
        client.get_model_version(model.name, str(number))
        for model in every_page(client.search_registered_models)
        for number in dict(model.aliases).values()
    ]
    return {version.tags[RUN_TAG] for version in versions if RUN_TAG in version.tags}


def _no_model(address: str, uri: str) -> str:
    return f"{address}: no such model in {shown(uri)}"


@contextmanager
def _asked(missing: str, uri: str) -> Iterator[Any]:
    """The `mlflow` module with a store set, for what takes none as an argument; it keeps that in the environment.

    Raises:
        TrackingError, OSError: as of `asking`.
    """
    before = {name: os.environ.get(name) for name in VARIABLES}
    mlflow = quiet_mlflow()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        with asking(missing):
            yield mlflow
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})
        for name in (name for name, value in before.items() if value is None):
            os.environ.pop(name, None)
