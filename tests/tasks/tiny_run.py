"""A run directory with an untrained network of two attributes: everything that a classifier needs, in milliseconds."""

import json
from pathlib import Path

import numpy as np
import simplejpeg

from lmle_core.index import CentroidIndex
from lmle_core.network import NetworkSpec, build_network, save_network

ATTRIBUTES = ("Bald", "Wearing_Hat")
SIDE = 32
DATA = {
    "digest": "d" * 32,
    "images": 9,
    "split": {"train": 5, "valid": 2, "test": 2},
    "quarantined": 0,
    "attributes": [],
}


def make_run(directory: Path, side: int = SIDE) -> Path:
    """Write `model/` and `index/` as `lmle_core.classifier` reads them."""
    model = directory / "model"
    model.mkdir(parents=True)
    network = build_network(NetworkSpec("six-layer", 4, len(ATTRIBUTES), 2, 8), seed=0)
    save_network(network, model)
    data = {"height": side, "width": side, "crop": "centre"}
    (model / "manifest.json").write_text(json.dumps({"format": 1, "attributes": ATTRIBUTES, "data": data}))
    centroids = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    CentroidIndex(
        attributes=ATTRIBUTES,
        n_classes=2,
        centroids=centroids,
        classes=np.array([0, 0, 1, 1] * 2, dtype=np.int8),
        offsets=np.array([0, 4, 8]),
        rule_weight=0.5,
        odds_weight=0.5,
        shares=np.array([[0.9, 0.1], [0.6, 0.4]], np.float32),
        biases=np.array([[0.1, -0.1], [-0.2, 0.2]], np.float32),
    ).save(directory / "index")
    return directory


def jpeg(seed: int) -> bytes:
    """A JPEG file of noise in large squares."""
    pixels = np.random.default_rng(seed).integers(256, size=(6, 5, 3), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90)
