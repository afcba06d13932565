"""Task: procedural faces in CelebA's layout, spread over Dask by spans."""

import shutil
from collections.abc import Callable
from pathlib import Path

from distributed import Client
from filelock import FileLock

from lmle_core.artefact import fsync
from lmle_core.celeba.images import FOLDER
from tasks.progress import Progress
from tasks.spread import spread
from tasks.stage import stage
from tasks.workers import Workers

SPAN = 500
"""Faces that a worker draws at a time."""
DRAWN = ".drawn"
"""Markers of finished spans; removed before the data set is committed."""


@stage("synth", "lmle_core.faces", resume=True)
def synth(
    directory: Path, images: int, label_noise: float, held_out: tuple[float, float], seed: int, workspace: Path,
    workers: Workers,
) -> None:  # fmt: skip
    """Procedural faces in CelebA's layout."""
    from lmle_core.faces import write_annotations

    draw_faces(workers.writers(workspace), directory, images, seed, Progress("synth", "faces"))
    write_annotations(directory, images, seed, label_noise, held_out)


def draw_faces(client: Client, directory: Path, images: int, seed: int, progress: Callable[[int, int], None]) -> None:
    """Draw the image files of a data set; those that an interrupted attempt left are not drawn again.

    Args:
        client: of a cluster whose workers see the directory.
        directory: the data set's.
        images: how many.
        seed: image i depends on it and on i alone.
        progress: called with the number of images done, and of all.
    """
    (directory / DRAWN).mkdir(exist_ok=True)
    first = range(0, images, SPAN)
    last = [min(lo + SPAN, images) for lo in first]
    done = 0
    with spread(client, draw_span, [directory] * len(first), first, last, seed=seed) as counts:
        for count in counts:
            done += count
            progress(done, images)
    shutil.rmtree(directory / DRAWN)


def draw_span(directory: Path, lo: int, hi: int, seed: int) -> int:
    """Draw the faces lo to hi - 1 unless a marker says that they are there; returns how many they are."""
    from lmle_core.faces import file_name, write_images

    marker = directory / DRAWN / f"{lo:08}-{hi:08}"
    with FileLock(marker.with_suffix(".lock")):
        if not marker.exists():
            write_images(directory, range(lo, hi), seed)
            for i in range(lo, hi):
                fsync(directory / FOLDER / file_name(i))
            marker.touch()
    return hi - lo
