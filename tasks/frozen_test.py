"""The frozen test split of a registered model: kept in MLflow beside the first champion, found by the model's tags."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lmle_core.artefact import Reference, make_once
from lmle_core.config import Config
from lmle_core.frozen_test import FILE, FrozenTest
from lmle_core.predictions import Predictions
from lmle_core.store import TEST, ImageStore
from tasks.champions import Champions, Version
from tasks.mlflow_store import TrackingError, asking
from tasks.models import download

TEST_IMAGES, TEST_RUN = "lmle.test_images", "lmle.test_images_run"
"""Tags of the registered model: digest of the names, and the run that has them in `test_images.txt`."""
PREDICTIONS = "predictions.parquet"


def frozen_test(champions: Champions, champion: Version, workspace: Path) -> Reference:
    """The model's frozen test split; the first call makes it of the champion's own test images.

    Args:
        champions: of the model.
        champion: the current one.
        workspace: gets a copy.

    Returns:
        A directory that `FrozenTest.load` reads; its digest is that of the names.

    Raises:
        TrackingError: where MLflow lacks the file, or has another one.
    """
    client, name = champions.client, champions.name
    tags = dict(client.get_registered_model(name).tags)
    if TEST_RUN not in tags:
        names = FrozenTest.of(_test_images(champions, champion))
        client.log_text(champion.run_id, "\n".join([*names.names, ""]), FILE)
        tags = {TEST_IMAGES: names.digest, TEST_RUN: champion.run_id}
        for key, value in tags.items():  # the run last: without it the split is frozen again
            client.set_registered_model_tag(name, key, value)

    def make(partial: Path, record: dict[str, str]) -> None:
        _download(champions, tags[TEST_RUN], FILE, partial)
        found = FrozenTest.load(partial)
        if found.digest != tags[TEST_IMAGES]:
            raise TrackingError(
                f"{FILE} of MLflow's run {tags[TEST_RUN]} has the digest {found.digest}, and model {name!r} was judged "
                f"on {tags[TEST_IMAGES]}: restore the file"
            )

    directory = workspace / "stages" / "test-images" / tags[TEST_IMAGES]
    return make_once(directory, "test-images", {}, make)[0]


def check_frozen_test(test: Reference, store: Reference, config: Config) -> None:
    """Refuse a store without the frozen test images, or one that trains on them. Raises DataError."""
    FrozenTest.load(Path(test.path)).rows(ImageStore.open(store.path), config.data.quarantine)


def _test_images(champions: Champions, champion: Version) -> np.ndarray:
    with TemporaryDirectory() as folder:
        _download(champions, champion.run_id, PREDICTIONS, Path(folder))
        found = Predictions.load(Path(folder) / PREDICTIONS)
    return found.filename[found.split == TEST]


def _download(champions: Champions, run_id: str, file: str, folder: Path) -> None:
    missing = (
        f"MLflow's run {run_id} has no {file}, from which the frozen test split of model {champions.name!r} is read: "
        "restore it, or let engines.model name another model"
    )
    with asking(missing):
        artifacts = champions.client.get_run(run_id).info.artifact_uri
    download(f"{artifacts}/{file}", champions.uri, folder, missing)
