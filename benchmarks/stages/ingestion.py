"""Ingestion: a folder of JPEG files, in the page cache, to a committed image store on disk."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import torch

from benchmarks.measure import OURS, Bench, Side
from benchmarks.sample import Sample
from benchmarks.torchvision_loader import celeba_loader
from lmle_core.artefact import committing
from lmle_core.celeba.annotations import read_celeba
from lmle_core.celeba.facts import ALIGNED_SIZE
from lmle_core.ingest import ingest_over
from lmle_core.store import ImageStore

BATCH = 256
PEER = 1000
"""Images a core that the peer handles in a call."""


def prepare(sample: Sample, images: int) -> Bench:
    """Against decoding alone, and against one pass of torchvision's `CelebA` behind a DataLoader."""
    source = read_celeba(sample.faces(images))
    data = sample.config.data
    data = data.model_copy(update={"shard": max(16, min(data.shard, images // (4 * sample.threads)))})
    stores = sample.folder / "ingested"
    shutil.rmtree(stores, ignore_errors=True)
    number = count()

    def ours() -> Path:
        directory = stores / str(next(number))
        with committing(directory, "ingest", {}) as (partial, _):
            ingest_over(_processes(sample.threads), partial, source, data)
        return directory

    fewer = min(images, PEER * sample.threads)
    peers = {
        f"torchvision CelebA + DataLoader, {workers} workers": Side(
            _pass(sample.faces(fewer), data.height, data.width, workers), fewer
        )
        for workers in sorted({0, 1, sample.threads})
    }
    return Bench(
        "ingestion",
        "images",
        Side(ours, images),
        limit=("JPEG decoding alone", Side(_decoding(sample, images), images)),
        peers=peers,
        compare=_same_pictures,
        note=(
            "Files are in the page cache, annotations are read before, and the processes of all sides live through all "
            "calls. The limit is simplejpeg, from memory to one RGB image in each thread; cv2 and torchvision.io "
            "decode slower. The peer decodes and resizes to batches in memory and writes nothing."
        ),
    )


def _decoding(sample: Sample, images: int) -> Callable[[], None]:
    """Decode whole files from memory in threads, which simplejpeg leaves alone."""

    @cache
    def files() -> list[bytes]:
        return [file.read_bytes() for file in sorted((sample.faces(images) / "img_align_celeba").iterdir())]

    def decode(part: int) -> None:
        pixels = np.empty((*ALIGNED_SIZE, 3), np.uint8)
        for file in files()[part :: sample.threads]:
            simplejpeg.decode_jpeg(file, buffer=pixels)

    def call() -> None:
        with ThreadPoolExecutor(sample.threads) as pool:
            list(pool.map(decode, range(sample.threads)))

    return call


def _pass(directory: Path, height: int, width: int, workers: int) -> Callable[[], torch.Tensor]:
    """One pass over all images; returns the first batch."""
    loader = celeba_loader(directory, "all", height, width, BATCH, workers, shuffle=False)

    def call() -> torch.Tensor:
        first = None
        for images, _ in loader:
            first = images if first is None else first
        assert first is not None
        return first

    return call


def _same_pictures(outcomes: Mapping[str, Any]) -> Mapping[str, float]:
    """Stored images are the peer's, but for its triangle filter."""
    theirs = next(outcome for name, outcome in outcomes.items() if name != OURS).numpy().astype(np.float64)
    ours = ImageStore.open(outcomes[OURS]).block(0, len(theirs))
    decibels = 10 * np.log10(255**2 / np.square(ours - theirs).mean())
    assert decibels > 35, f"stored images differ from torchvision's: {decibels:.1f} dB"
    return {"PSNR against torchvision, dB": round(float(decibels), 1)}


@cache
def _processes(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
