"""A run's model in MLflow: logged as a pyfunc that carries its own code, and one version in the registry."""

import base64
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import Any

from tasks.mlflow_store import TrackingError, quiet_mlflow

CHAMPION, CHALLENGER = "champion", "challenger"
PROMOTED_AT = "lmle.promoted_at"
"""Of a version that is champion, or was: when it became so, ISO 8601 in UTC."""
PARTS = ("model", "index")
REQUIREMENTS = (
    "faiss-gpu",
    "filelock",
    "google-crc32c",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "scipy",
    "simplejpeg",
    "torch",
    "torchvision",
    "universal_pathlib",
    "zarr",
)


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the registry.

    Attributes:
        name: of the registered model.
        version: counted from 1.
        uri: for `mlflow.pyfunc.load_model`.
        model_id: MLflow's identity of the logged model.
    """

    name: str
    version: int
    uri: str
    model_id: str


def register_model(
    client: Any,
    experiment_id: str,
    run_id: str,
    tags: Mapping[str, str],
    run_directory: Path,
    *,
    name: str,
    attributes: Sequence[str],
    example: bytes,
) -> RegisteredModel:
    """Log a run's model and register it, once: what an earlier call finished is found by its tags.

    The newest version gets the alias `challenger`; the first one of all is `champion` too.

    Args:
        client: MLflow's.
        experiment_id: of the run.
        run_id: of the run.
        tags: identify the run; put on the logged model and on the version.
        run_directory: holds `model/` and `index/`.
        name: in the registry; made where it does not exist.
        attributes: the model's, in order.
        example: an image file's bytes.

    Raises:
        TrackingError: if the run directory has no model or no index.
    """
    for part in PARTS:
        if not (run_directory / part).is_dir():
            raise TrackingError(
                f"{run_directory}: expected a folder {part}/ in it; finish the run before registering it"
            )
    try:
        client.create_registered_model(
            name, description="Labels of images with a margin each, by large-margin clusters."
        )
    except import_module("mlflow.exceptions").MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model = _logged_model(client, experiment_id, run_id, tags, run_directory, attributes, example)
    version = _version_of(client, name, tags)
    if version is None:
        # The location itself: MLflow would look `models:/<id>` up in whatever store is the process's default.
        version = client.create_model_version(
            name, model.artifact_location, run_id=run_id, tags=dict(tags), model_id=model.model_id
        )
    number = int(version.version)
    aliases = dict(client.get_registered_model(name).aliases)
    others = [each for each in client.search_model_versions(f"name = '{name}'") if int(each.version) != number]
    first = not any(PROMOTED_AT in each.tags for each in others)
    if first and int(aliases.get(CHAMPION, number)) == number:  # also where a killed call has set the alias alone
        client.set_registered_model_alias(name, CHAMPION, str(number))
        if PROMOTED_AT not in version.tags:
            client.set_model_version_tag(name, str(number), PROMOTED_AT, now())
    if int(aliases.get(CHALLENGER, 0)) < number:
        client.set_registered_model_alias(name, CHALLENGER, str(number))
    return RegisteredModel(name, number, f"models:/{name}/{number}", model.model_id)


def now() -> str:
    """The time as tags have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def requirements() -> list[str]:
    """What the model needs installed, pinned to the versions of this environment."""
    found = []
    for package in REQUIREMENTS:
        try:
            found.append(f"{package}=={metadata.version(package)}")
        except metadata.PackageNotFoundError:  # faiss is another package on other platforms
            if package == "faiss-gpu":
                found.append(f"faiss-cpu=={metadata.version('faiss-cpu')}")
    return [f"mlflow=={metadata.version('mlflow')}", *found]


def save_pyfunc(path: Path, run_directory: Path, attributes: Sequence[str], example: bytes, **model: Any) -> None:
    """Write the pyfunc's folder: the run's model and index, this package's code, signature and example.

    Args:
        path: the folder; must not exist.
        run_directory: holds `model/` and `index/`.
        attributes: the model's, in order.
        example: an image file's bytes.
        **model: passed to `mlflow.pyfunc.save_model`.
    """
    mlflow = quiet_mlflow()
    types = import_module("mlflow.types.schema")
    outputs = []
    for attribute in attributes:
        outputs += [types.ColSpec("integer", attribute), types.ColSpec("float", f"{attribute}_margin")]
    signature = mlflow.models.ModelSignature(
        # Not "binary": MLflow would decode it without telling which row is damaged, and in some of its formats not at
        # all. Bytes pass as they are.
        inputs=types.Schema([types.ColSpec("string", column, required=False) for column in ("image", "path")]),
        outputs=types.Schema(outputs),
    )
    frame = import_module("pandas").DataFrame({"image": [base64.b64encode(example).decode()]})
    with tempfile.TemporaryDirectory(prefix="lmle-") as folder:
        artifact = Path(folder) / "run"
        for part in PARTS:
            shutil.copytree(run_directory / part, artifact / part)  # MLflow follows no links
        mlflow.pyfunc.save_model(
            path=str(path),
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"run": str(artifact)},
            code_paths=[str(resources.files("lmle_core"))],
            signature=signature,
            input_example=frame,
            pip_requirements=requirements(),
            **model,
        )


def _version_of(client: Any, name: str, tags: Mapping[str, str]) -> Any:
    for version in client.search_model_versions(f"name = '{name}'"):
        if all(version.tags.get(key) == value for key, value in tags.items()):
            return version
    return None


def _logged_model(
    client: Any,
    experiment_id: str,
    run_id: str,
    tags: Mapping[str, str],
    run_directory: Path,
    attributes: Sequence[str],
    example: bytes,
) -> Any:
    """The run's logged model; one that an interrupted call left unfinished is removed."""
    condition = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    for model in client.search_logged_models([experiment_id], filter_string=condition):
        if model.status == "READY":
            return model
        client.delete_logged_model(model.model_id)
    mlflow = quiet_mlflow()
    model = client.create_logged_model(experiment_id, name="model", source_run_id=run_id, tags=dict(tags))
    description = mlflow.models.Model(
        artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id, model_id=model.model_id
    )
    with tempfile.TemporaryDirectory(prefix="lmle-") as folder:
        path = Path(folder) / "model"
        save_pyfunc(path, run_directory, attributes, example, mlflow_model=description)
        client.log_model_artifacts(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, "READY")
    output = import_module("mlflow.entities").LoggedModelOutput(model.model_id, step=0)
    client.log_outputs(run_id, [output])
    return model
