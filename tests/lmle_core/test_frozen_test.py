"""The frozen test images are found by name in a store that has grown, and a store that breaks them is refused."""

from copy import copy
from pathlib import Path

import numpy as np
import pytest

from lmle_core.celeba.layout import DataError
from lmle_core.frozen_test import FrozenTest
from lmle_core.store import QUARANTINED, TEST, TRAIN, ImageStore


@pytest.fixture
def frozen(faces_store: ImageStore) -> FrozenTest:
    """All test images but the last, which came later."""
    return FrozenTest.of([faces_store.filenames[row] for row in faces_store.rows(TEST)[-2::-1]])


def moved(store: ImageStore, row: int, split: int) -> ImageStore:
    changed, splits = copy(store), store.split.copy()
    splits[row] = split
    vars(changed)["split"] = splits
    return changed


def test_they_are_kept_whatever_else_there_is(faces_store: ImageStore, frozen: FrozenTest, tmp_path: Path) -> None:
    assert frozen.rows(faces_store, 0).tolist() == faces_store.rows(TEST)[:-1].tolist()
    frozen.save(tmp_path)
    assert FrozenTest.load(tmp_path) == frozen
    assert FrozenTest.load(tmp_path).digest == frozen.digest
    assert FrozenTest.of(frozen.names[1:]).digest != frozen.digest


def test_images_that_are_gone_are_refused_beyond_the_allowed_share(faces_store: ImageStore, frozen: FrozenTest) -> None:
    rows = faces_store.rows(TEST)
    damaged = moved(faces_store, int(rows[0]), QUARANTINED)
    with pytest.raises(DataError, match=rf"1 \({faces_store.filenames[rows[0]]}\) are not there, and data.quarantine"):
        frozen.rows(damaged, 0.01)
    assert frozen.rows(damaged, 0.5).tolist() == rows[1:-1].tolist()
    with pytest.raises(DataError, match=r"allows 100.0% to be missing"):
        FrozenTest.of(["elsewhere.jpg"]).rows(faces_store, 1)


def test_images_that_training_sees_now_are_refused(faces_store: ImageStore, frozen: FrozenTest) -> None:
    row = int(faces_store.rows(TEST)[0])
    with pytest.raises(DataError, match="are no test images any more; give them 2"):
        frozen.rows(moved(faces_store, row, TRAIN), 1)


def test_names_have_one_digest_in_any_order(frozen: FrozenTest) -> None:
    shuffled = np.random.default_rng(0).permutation(frozen.names)
    assert FrozenTest.of(map(str, shuffled)).digest == frozen.digest


def test_names_come_back_whatever_they_hold(tmp_path: Path) -> None:
    frozen = FrozenTest.of(["a\u2028b.jpg", "c\x85d.jpg", "e\x0bf.jpg", "ü.jpg", " g.jpg"])
    frozen.save(tmp_path)
    assert FrozenTest.load(tmp_path) == frozen
