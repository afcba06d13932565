"""Tasks for the image store: of image files, or of digits."""

from pathlib import Path

from prefect import task

from lmle_core.artefact import Reference
from lmle_core.config import Data
from lmle_core.location import Location
from tasks.cache import StagePolicy
from tasks.ingest import ingest
from tasks.progress import Progress
from tasks.stage import OPTIONS, stage
from tasks.workers import Workers


@task(
    name="ingest",
    cache_policy=StagePolicy(
        stage="ingest", code="lmle_core.ingest", ignore=("workspace", "workers", "directory", "more")
    ),
    **OPTIONS,
)
def ingest_images(
    directory: Location, more: tuple[Location, ...], fingerprint: str, data: Data, workspace: Path, workers: Workers
) -> Reference:
    """The image store of folders in CelebA's layout, or of their URLs; `fingerprint` says which state of them."""
    del fingerprint  # part of the task's key
    progress = Progress("ingest", "images")
    return ingest(directory, data, workspace, lambda: workers.writers(workspace), progress, more)


@stage("digits", "lmle_core.digit_store")
def digits(directory: Path, data: Data, seed: int, workspace: Path) -> None:
    """The image store of scikit-learn's digits over photographs, drawn as image files and ingested."""
    from lmle_core.digit_store import make_digits

    make_digits(directory, seed, data)
