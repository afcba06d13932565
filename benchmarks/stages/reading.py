"""Reading an epoch of training images in random order, as batches on the device."""

import numpy as np
import torch

from benchmarks.measure import Bench, Side
from benchmarks.sample import Sample
from benchmarks.torchvision_loader import celeba_loader
from lmle_core.device import DeviceImages
from lmle_core.sampling import Uniform
from lmle_core.store import TRAIN


def prepare(sample: Sample, images: int) -> Bench:
    """Against a copy of the same bytes, and against torchvision's `CelebA` behind a DataLoader."""
    store = sample.store(sample.scale.faces)
    rows = np.resize(store.rows(TRAIN), images)
    batch = sample.config.training.batch
    resident = DeviceImages(store, rows, sample.device)
    sampler = Uniform(len(rows), batch, (0,))
    batches = len(rows) // batch
    source = torch.zeros(batch, *store.shape, dtype=torch.uint8, device=sample.device)

    def ours() -> torch.Tensor:
        for iteration in range(batches):
            read = resident(sampler(iteration))
        return read

    def copies() -> None:
        for _ in range(batches):
            source.clone()

    def peer() -> torch.Tensor:
        for read, _ in loader:
            read.to(sample.device)
        return read

    directory = sample.faces(sample.scale.faces)
    loader = celeba_loader(directory, "train", *store.shape[1:], batch, sample.threads, shuffle=True)
    return Bench(
        "reading",
        "images",
        Side(ours, batches * batch),
        limit=("a copy of the same bytes", Side(copies, batches * batch)),
        peers={"torchvision CelebA + DataLoader": Side(peer, int((store.split == TRAIN).sum()))},
        note=f"The peer has {sample.threads} worker processes that live through all passes.",
    )
