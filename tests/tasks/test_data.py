"""The store of digits, as the stages of a comparison make it: real, made once, and of nothing but its own settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect import Task

from lmle_core.artefact import Reference
from lmle_core.config import Config, load_config
from lmle_core.prior import class_count
from lmle_core.store import TEST, TRAIN, VALID, ImageStore
from tasks import pipeline
from tasks.gates import check_data
from tasks.pipeline import Stages
from tasks.workers import Workers


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace whose stages run as plain functions, without Prefect's server."""

    def plain(stage: Task[..., Reference], **inputs: Any) -> Reference:
        return stage.fn(**inputs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "done", plain)
        yield tmp_path_factory.mktemp("workspace")


def configured(*settings: str) -> Config:
    return load_config("study-digits", list(settings))


def store_of(config: Config, workspace: Path) -> Reference:
    return Stages(config, workspace, Workers(config.engines)).store()


@pytest.fixture(scope="module")
def reduced(workspace: Path) -> Reference:
    return store_of(configured("data.removed=0.9"), workspace)


def test_ten_classes_in_every_split_and_five_of_them_reduced(reduced: Reference) -> None:
    store = ImageStore.open(reduced.path)
    assert (len(store.attributes), class_count(store.labels), store.shape) == (1, 10, (3, 28, 28))
    counts = {split: np.bincount(store.labels[store.rows(split), 0], minlength=10) for split in (TRAIN, VALID, TEST)}
    kept = np.sort(counts[TRAIN])
    assert kept[:5].max() < 0.15 * kept[5:].min()
    assert all(counts[split].min() > 0.8 * counts[split].max() for split in (VALID, TEST))
    check_data(reduced, configured())


def test_it_is_made_once_and_of_its_own_settings_alone(reduced: Reference, workspace: Path) -> None:
    mark = Path(reduced.path) / "COMMITTED.json"
    before = mark.stat().st_mtime_ns
    others = ("data.label_noise=0.2", "data.images=500", "training.rounds=1", "engines.threads=1")
    assert store_of(configured("data.removed=0.9", *others), workspace) == reduced
    assert mark.stat().st_mtime_ns == before


@pytest.mark.parametrize("setting", ["seed=1", "data.removed=0.4", "data.height=32"])
def test_another_seed_share_or_size_is_another_store(setting: str, reduced: Reference, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def ask(stage: Task[..., Reference], **inputs: Any) -> Reference:
        asked.append({"stage": stage, **inputs})
        return reduced

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "done", ask)
        for settings in (["data.removed=0.9"], ["data.removed=0.9", setting]):
            store_of(configured(*settings), tmp_path)
    keys = [each["stage"].cache_policy.key({k: v for k, v in each.items() if k != "stage"}) for each in asked]
    assert keys[0] == Path(reduced.path).name != keys[1]
