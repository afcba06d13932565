"""The flow: images and a model in, a Parquet dataset of labels and margins out."""

from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.runs import model_directory
from infra.settings import local, workspace_path
from lmle_core.artefact import read_commit
from lmle_core.config import Engines
from lmle_core.location import Location
from tasks.predict import PARTS, predict_parts
from tasks.workers import Workers

DEFAULTS = Engines()
PART = 4096
QUARANTINE = 0.01


@flow(name="predict")
def predict(
    images: Location,
    out: Path,
    model: str = "models:/lmle@champion",
    part: Annotated[int, Field(ge=1)] = PART,
    quarantine: Annotated[float, Field(ge=0, le=1)] = QUARANTINE,
    engines: Engines = DEFAULTS,
) -> dict[str, str | int]:
    """Classify many images on Dask; killed and started again, it goes on with the parts that are not there.

    Args:
        images: a folder of image files or one in CelebA's layout, the URL of one, or an image store; Dask's workers
            read it.
        out: gets `predictions/`, a Parquet file for each part; Dask's workers write it.
        model: a run's name or path, or an address of MLflow's such as models:/lmle@champion.
        part: images in a part.
        quarantine: share of images that cannot be decoded over which the flow stops.
        engines: Dask, MLflow, device and workspace.

    Returns:
        `predictions`: the dataset's folder; `images`, and `bad`: how many of them have a reason instead of an answer.
    """
    workspace = workspace_path(engines.workspace)
    answers = local(out, "out")
    directory = model_directory(workspace, model, engines)
    with Workers(engines) as workers:
        found = images.expanduser().resolve() if isinstance(images, Path) else images
        reference = predict_parts(found, directory, answers, part, quarantine, workers)
    record = read_commit(Path(reference.path)) or {}
    return {"predictions": str(Path(reference.path) / PARTS), "images": record["images"], "bad": record["bad"]}
