"""A classifier sees of a file what training saw of it."""

from pathlib import Path

import numpy as np

from lmle_core.classifier import Classifier
from lmle_core.config import Data
from lmle_core.features import NetworkEncoder
from lmle_core.index import CentroidIndex
from lmle_core.network import NetworkSpec, build_network
from tests.lmle_core.conftest import ATTRIBUTES, make_store


def test_files_are_classified_as_their_stored_images_are(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=20)
    files = [(tmp_path / "celeba" / "img_align_celeba" / name).read_bytes() for name in store.filenames]
    centroids = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    index = CentroidIndex(ATTRIBUTES, 2, centroids, np.array([0, 1] * 3, np.int8), np.array([0, 2, 4, 6]))
    network = build_network(NetworkSpec("six-layer", 4, 3, 2, 8), seed=0).eval()
    classifier = Classifier(ATTRIBUTES, Data(height=24, width=24), NetworkEncoder(network, "embeddings"), index)
    from_files, from_store = classifier.classify(files), classifier.classify_pixels(store.block(0, 20))
    np.testing.assert_array_equal(from_files.margins, from_store.margins)
    np.testing.assert_array_equal(from_files.labels, from_store.labels)
    assert len(np.unique(from_files.margins)) > 30  # they tell images apart
