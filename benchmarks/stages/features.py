"""Feature extraction: all embeddings of a store's images, from its chunks to a committed array on disk."""

import shutil
from pathlib import Path

import torch

from benchmarks.measure import Bench, Side
from benchmarks.sample import Sample
from lmle_core.features import BATCH, NetworkEncoder, extract


def prepare(sample: Sample, images: int) -> Bench:
    """Against the network's forward on one random batch, over and over."""
    store, network = sample.store(images), sample.network()
    encoder = NetworkEncoder(network, "embeddings")
    directory = sample.folder / "features"
    random = torch.randint(256, (BATCH, *store.shape), dtype=torch.uint8, device=sample.device)
    batches = -(-images // BATCH)

    def ours() -> Path:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        extract(encoder, store, directory)
        return directory

    @torch.inference_mode()
    def forward() -> None:
        for _ in range(batches):
            network(random)

    return Bench(
        "features",
        "images",
        Side(ours, images),
        limit=("the network's forward on random tensors", Side(forward, batches * BATCH)),
    )
