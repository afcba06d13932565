"""A model of MLflow's, fetched once into the workspace, where every worker reads it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmle_core.artefact import digest_of, make_once
from tasks.mlflow_store import TrackingError, quiet_mlflow

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def fetch_model(address: str, tracking_uri: str, workspace: Path) -> Path:
    """The folder with `model/` and `index/` of a logged model.

    Args:
        address: such as `models:/lmle@champion`.
        tracking_uri: of MLflow.
        workspace: keeps the model in `stages/model/`, by its identity: an alias that moves leads to another folder.

    Raises:
        TrackingError: where there is no such model.
    """
    with _mlflow_at(tracking_uri) as mlflow:
        try:
            about = mlflow.models.get_model_info(address)
            inputs = {"model": about.model_id or about.model_uuid}

            def fetch(partial: Path, record: dict[str, Any]) -> None:
                mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(partial))

            reference, _ = make_once(workspace / "stages" / "model" / digest_of(inputs), "model", inputs, fetch)
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise TrackingError(f"{address}: no such model in {tracking_uri} ({error})") from None
    return Path(reference.path) / "artifacts" / "run"


def run_of(address: str, tracking_uri: str) -> str:
    """Name of the run that made a logged model.

    Raises:
        TrackingError: where there is no such model, or its record is gone.
    """
    from tasks.tracking import RUN_TAG

    with _mlflow_at(tracking_uri) as mlflow:
        try:
            run = mlflow.get_run(mlflow.models.get_model_info(address).run_id)
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise TrackingError(f"{address}: no such model, or not its run, in {tracking_uri} ({error})") from None
    if RUN_TAG not in run.data.tags:
        raise TrackingError(f"{address}: expected a model of `lmle run`, found one of MLflow run {run.info.run_id}")
    return str(run.data.tags[RUN_TAG])


@contextmanager
def _mlflow_at(uri: str) -> Iterator[Any]:
    """The `mlflow` module, which asks a store for models; it says so in the environment, which is put back."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    mlflow = quiet_mlflow()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield mlflow
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
