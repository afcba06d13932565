"""Task: a classifier's answers for a set of images, a part a piece, on Dask workers that read the images themselves."""

import json
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from lmle_core.answers import Answers, read_errors
from lmle_core.artefact import Reference, make_once, read_commit, write_atomically
from lmle_core.celeba.layout import DataError, enumerate_names
from lmle_core.classifier import Classifier, files_digest
from lmle_core.device import choose_device
from lmle_core.image_sets import ImagePart, open_image_set
from lmle_core.location import Location
from tasks.progress import Progress, say, stage_ended
from tasks.spread import spread
from tasks.workers import Workers

PARTS, REQUEST = "predictions", "request.json"


@task(name="predict", cache_policy=NO_CACHE)
def predict_parts(
    images: Location, model: Path, out: Path, part: int, quarantine: float, workers: Workers
) -> Reference:
    """Answers for all images, as a Parquet dataset at `<out>/predictions/`.

    Until it is whole, it is at `<out>.partial`; what is there of the same request is gone on from.

    Args:
        images: a folder of images or its URL, see `open_image_set`.
        model: a folder with `model/` and `index/` that the workers see.
        out: the folder; new or empty, or that of the same request.
        part: images in a part.
        quarantine: share of images without an answer over which it stops.
        workers: the Dask cluster; they compute on one kind of device.

    Raises:
        DataError: if there are no images, or not of the model's size; if `out` holds anything else; if more than the
            share of the images are bad.
    """
    begun = time.perf_counter()
    classifier = Classifier.load(model)
    source = open_image_set(images)
    source.check(classifier)
    number = len(source.names)
    say(f"{'predict':<12} {number:,} images in {images}, model {model}")
    digest = files_digest(model)
    request = {"images": source.digest, "model": digest, "part": part}
    _check_out(out, request)
    progress = Progress("predict", "images")

    def make(partial: Path, record: dict[str, Any]) -> None:
        folder = partial / PARTS
        folder.mkdir(exist_ok=True)
        write_atomically(partial / REQUEST, json.dumps(request, indent=1))
        parts = [source.part(lo, min(lo + part, number)) for lo in range(0, number, part)]
        files = [str(folder / f"part-{each:05}.parquet") for each in range(len(parts))]
        told = {"model": str(model), "digest": digest, "device": workers.kind()}
        done, bad = 0, list[tuple[str, str]]()
        with spread(workers.client(), _predict_part, files, parts, **told, retries=2) as answered:
            for count, wrong in answered:
                done += count
                bad += wrong
                _check_share(bad, number, quarantine)
                progress(done, number, f"{len(bad)} bad" if bad else "")
        for left in folder.glob(".*.partial"):  # of workers that were killed
            left.unlink()
        record["images"], record["bad"] = number, len(bad)

    reference, found = make_once(out, "predict", request, make, resume=True)
    stage_ended("predict", found=found, seconds=time.perf_counter() - begun)
    return reference


def _predict_part(
    file: str, part: ImagePart, model: str, digest: str, device: str
) -> tuple[int, list[tuple[str, str]]]:
    path = Path(file)
    if not path.exists():
        Answers.of(_classifier(model, digest, device), part).save(path)
    return read_errors(path)


@lru_cache(maxsize=1)
def _classifier(model: str, digest: str, device: str) -> Classifier:
    """One load a worker and model; by its digest too, since another model may come to lie in the same folder."""
    import torch

    del digest
    torch.set_num_threads(1)
    return Classifier.load(model, str(choose_device(device)))


def _check_out(out: Path, request: dict[str, Any]) -> None:
    """Refuse to write where something else is, before any work."""
    partial = out.with_name(f"{out.name}.partial")
    if os.path.ismount(out):  # it could not be put there as a whole
        raise DataError(f"{out}: a file system of its own is mounted there; name a folder below it")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if (read_commit(out) or {}).get("inputs") != request:
            raise DataError(
                f"{out}: expected a new or empty folder, or predictions of the same images, model and part size"
            )
    elif partial.exists():
        try:
            started = json.loads((partial / REQUEST).read_text())
        except (OSError, ValueError):
            started = None
        if started != request and any(partial.iterdir()):
            raise DataError(
                f"{partial}: an interrupted prediction of other images, model or part size; remove it, or name another "
                "folder"
            )


def _check_share(bad: list[tuple[str, str]], images: int, share: float) -> None:
    if len(bad) > share * images:
        listed = enumerate_names((f"{name}: {reason}" for name, reason in sorted(bad)), 10)
        raise DataError(
            f"{len(bad)} of {images} images have no answer, over the share of {share:g}: {listed}; repair or remove "
            "them, or allow a larger share"
        )
