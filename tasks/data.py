"""Tasks for the data: procedural faces, image files into a store, and the store of digits."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task

from lmle_core.artefact import MARKER, Reference
from lmle_core.config import Data
from lmle_core.ingest import ingest_over
from lmle_core.location import Location
from tasks.cache import StagePolicy
from tasks.ingest import ingest, synthesise
from tasks.progress import Progress, stage_ended
from tasks.stage import OPTIONS, stage
from tasks.workers import Workers


@task(
    name="synth",
    cache_policy=StagePolicy(stage="synth", code="lmle_core.faces", ignore=("workspace", "workers")),
    **OPTIONS,
)
def synth(
    images: int, label_noise: float, held_out: tuple[float, float], seed: int, workspace: Path, workers: Workers
) -> Reference:
    """Procedural faces in CelebA's layout."""
    begun = time.time()
    data = Data(images=images, label_noise=label_noise, held_out=held_out)
    reference = synthesise(data, seed, workspace, lambda: workers.writers(workspace), Progress("synth", "faces"))
    _announce("synth", reference, begun)
    return reference


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
    begun = time.time()
    progress = Progress("ingest", "images")
    reference = ingest(directory, data, workspace, lambda: workers.writers(workspace), progress, more)
    _announce("ingest", reference, begun)
    return reference


@stage("digits", "lmle_core.digits")
def digits(directory: Path, data: Data, seed: int, workspace: Path) -> None:
    """The image store of scikit-learn's digits over photographs, drawn as image files and ingested."""
    from lmle_core.digits import draw_digits, write_digits

    with TemporaryDirectory() as files, ThreadPoolExecutor() as pool:
        source = write_digits(Path(files), draw_digits(seed, data.removed))
        ingest_over(pool, directory, source, data)


def _announce(stage: str, reference: Reference, begun: float) -> None:
    committed = (Path(reference.path) / MARKER).stat().st_mtime
    stage_ended(stage, found=committed < begun, seconds=time.time() - begun)
