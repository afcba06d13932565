"""A small store of procedural faces, made once for all tests of the core."""

from pathlib import Path

import pytest
import torch

from lmle_core.celeba.annotations import read_celeba
from lmle_core.config import Config, Data, parse_config
from lmle_core.faces import write_faces
from lmle_core.ingest import create_store, publish
from lmle_core.shards import ingest_shard
from lmle_core.store import ImageStore

torch.set_num_threads(1)  # tiny tensors: a second thread only waits

ATTRIBUTES = ("Male", "Smiling", "Eyeglasses")


def make_store(directory: Path, images: int = 160) -> ImageStore:
    data = Data(height=24, width=24, shard=64, attributes=ATTRIBUTES)
    write_faces(directory / "celeba", images, seed=0, label_noise=0.02)
    partial = directory / "store.zarr"
    partial.mkdir()
    for shard in range(create_store(partial, read_celeba(directory / "celeba").subset(ATTRIBUTES), data)):
        ingest_shard(partial, shard)
    publish(partial, data.quarantine)
    return ImageStore.open(partial)


@pytest.fixture(scope="session")
def faces_store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    """160 faces of 24 pixels with three attributes."""
    return make_store(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def small() -> Config:
    """Seconds of training: batches of 32, one epoch at a time."""
    return parse_config(
        {
            "trunk": {"width": 4},
            "prior": {"epochs": 4},
            "training": {"rounds": 2, "epochs": 2, "batch": 32, "dimensions": 8},
            "cluster": {"size": 20},
            "engines": {"checkpoint": 2},
        }
    )
