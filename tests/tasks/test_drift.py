"""Which images count as new for a champion, and why there may be no drift to measure."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from lmle_core.artefact import Reference
from lmle_core.classifier import Classifier, save_classifier
from lmle_core.config import Data, Engines
from lmle_core.index import CentroidIndex
from lmle_core.network import NetworkSpec, build_network, save_network
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training_profile import FILE, TrainingProfile
from tasks.drift import drift, drift_said, drift_text
from tests.lmle_core.conftest import ATTRIBUTES, make_store


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    return make_store(tmp_path_factory.mktemp("images"), images=60)


@pytest.fixture
def champion(images: ImageStore, tmp_path: Path) -> Path:
    """An untrained network and random centroids, as a run publishes them for these images."""
    network, index, run = (tmp_path / name for name in ("network", "centroids", "run"))
    for directory in (network, run):
        directory.mkdir()
    save_network(build_network(NetworkSpec("six-layer", 4, 3, 2, 8), seed=0), network)
    centroids = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    CentroidIndex(ATTRIBUTES, 2, centroids, np.array([0, 1] * 3, np.int8), np.array([0, 2, 4, 6])).save(index)
    save_classifier(run, network, index, images, Data(height=24, width=24))
    return run


def measured(images: ImageStore, champion: Path, workspace: Path) -> Reference:
    profile = (champion / "model" / FILE).read_bytes() if (champion / "model" / FILE).is_file() else b""
    return drift.fn(
        store=Reference("ingest", str(images.path), images.digest),
        champion=Reference("champion", str(champion), hashlib.sha256(profile).hexdigest()),
        threshold=0.2,
        engines=Engines(device="cpu", threads=1),
        workspace=workspace,
    )


def test_new_images_are_those_that_the_champion_was_not_trained_on(
    images: ImageStore, champion: Path, tmp_path: Path
) -> None:
    rows = images.rows(TRAIN)
    known = TrainingProfile.by(Classifier.load(champion), images, rows[:-10])
    known.save(champion / "model")
    found = measured(images, champion, tmp_path)
    values = json.loads((Path(found.path) / "drift.json").read_text())
    assert (values["known"], values["new"]) == (len(rows) - 10, 10)
    expected = images.labels[rows[-10:]].mean(0)
    with (Path(found.path) / "drift.csv").open() as file:
        rates = {row["attribute"]: float(row["new_rate"]) for row in csv.DictReader(file)}
    assert rates == pytest.approx(dict(zip(ATTRIBUTES, expected, strict=True)), abs=1e-6)
    assert (Path(found.path) / "drift.png").stat().st_size > 10_000
    assert drift_said(found).startswith("10 new images, ")
    assert drift_text(found).startswith(f"10 new images against {len(rows) - 10} training images.")


def test_images_that_all_have_known_names_are_new_where_the_content_is(
    images: ImageStore, champion: Path, tmp_path: Path
) -> None:
    rows = images.rows(TRAIN)
    TrainingProfile.by(Classifier.load(champion), images, rows).save(champion / "model")
    assert drift_said(measured(images, champion, tmp_path)) == (
        "not measured: the champion was trained on these very images"
    )
    manifest = champion / "model" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "trained_on": "other content"}))
    found = measured(images, champion, tmp_path / "other")
    assert drift_said(found) == f"{len(rows)} new images, no warning"  # the same ones: no drift
    attributes = json.loads((Path(found.path) / "drift.json").read_text())["attributes"]
    assert all((each["z"], each["mean_shift"], each["cluster_psi"]) == (0, 0, 0) for each in attributes.values())


def test_a_champion_without_a_profile_is_no_error(images: ImageStore, champion: Path, tmp_path: Path) -> None:
    found = measured(images, champion, tmp_path)
    assert drift_text(found) == "Not measured: the champion came without a profile of what it was trained on.\n"
