"""An experiment and the truth of its images come back from their files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmle_core.comparison import Experiment, Truth
from tests.lmle_core.comparison.made import experiment, truth


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("clean", [True, False])
def test_an_experiment_comes_back_from_its_files(tmp_path: Path, classes: int, clean: bool) -> None:
    labels = truth(0, n=60, classes=classes, clean=clean)
    made = experiment(("lmle", "clusters"), 3, 0.8, labels, classes)
    made.save(tmp_path, "lmle-clusters-3")
    found = Experiment.load(tmp_path, "lmle-clusters-3")
    np.testing.assert_array_equal(found.predictions, made.predictions)
    assert found.predictions.dtype == np.int8
    for name in ("method", "rule", "seed", "settings", "validation", "spread", "seconds", "images_seen"):
        assert getattr(found, name) == getattr(made, name)
    for name in ("test", "test_clean", "ranking", "ranking_clean"):
        ours, theirs = getattr(made, name), getattr(found, name)
        assert (ours and ours.to_json()) == (theirs and theirs.to_json())
    assert (found.classes, found.attributes) == (classes, made.attributes)
    found.save(tmp_path, "again")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "lmle-clusters-3.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.json", "again.npz", "lmle-clusters-3.json", "lmle-clusters-3.npz",
    ]  # fmt: skip


@pytest.mark.parametrize("clean", [True, False])
def test_the_truth_comes_back_beside_them(tmp_path: Path, clean: bool) -> None:
    made = truth(1, clean=clean)
    made.save(tmp_path)
    found = Truth.load(tmp_path)
    np.testing.assert_array_equal(found.labels, made.labels)
    assert (found.clean_labels is None) == (not clean)
    if made.clean_labels is not None and found.clean_labels is not None:
        np.testing.assert_array_equal(found.clean_labels, made.clean_labels)
    np.testing.assert_array_equal(found.groups, made.groups)
    replace(made, groups=None).save(tmp_path)
    assert Truth.load(tmp_path).groups is None


def test_what_cannot_be_read_again_is_not_written(tmp_path: Path) -> None:
    made = experiment(("ce", "half"), 0, 0.8, truth(0))
    with pytest.raises(ValueError, match="'truth' is the file of the labels"):
        made.save(tmp_path, "truth")
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(made, settings={"rate": float("nan")}).save(tmp_path, "ce")
    assert list(tmp_path.iterdir()) == []


def test_parts_that_disagree_are_refused() -> None:
    made = experiment(("ce", "half"), 0, 0.8, truth(0))
    with pytest.raises(ValueError, match=r"expected shape \(200, 6\), as the test scores say, got \(200, 5\)"):
        replace(made, predictions=made.predictions[:, :5])
    with pytest.raises(ValueError, match="expected both or neither"):
        replace(made, ranking_clean=None)
    with pytest.raises(ValueError, match=r"clean_labels: expected \(4, 2\) as labels, got \(4, 1\)"):
        Truth(np.zeros((4, 2), dtype=np.int8), np.zeros((4, 1), dtype=np.int8))
    with pytest.raises(ValueError, match=r"groups: expected \(4,\) as labels have, got \(3,\)"):
        Truth(np.zeros((4, 2), dtype=np.int8), groups=np.zeros(3, dtype=np.int32))


def test_the_json_is_for_people_too(tmp_path: Path) -> None:
    experiment(("ce", "half"), 0, 0.8, truth(0)).save(tmp_path, "ce")
    values = json.loads((tmp_path / "ce.json").read_text())
    assert list(values)[:4] == ["method", "rule", "seed", "settings"]
    assert set(values["ranking"]) > {"mean_average_precision", "mean_roc_auc", "mean_mcc"}
