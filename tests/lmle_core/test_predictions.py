"""Predictions come back from parquet as they went, and the table of attributes holds the scores."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmle_core.metrics import score
from lmle_core.predictions import Predictions, attributes_csv


def made(clean: bool = True, n: int = 30) -> Predictions:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=(n, 3)).astype(np.int8)
    margins = rng.random((n, 3)).astype(np.float32)
    margins[0, 0] = np.inf
    return Predictions(
        filename=np.array([f"{i:06d}.jpg" for i in range(n)]),
        split=rng.integers(3, size=n).astype(np.int8),
        attributes=("Bald", "5_o_Clock_Shadow", "odd.name"),
        labels=labels,
        clean_labels=labels[::-1].copy() if clean else None,
        predictions=rng.integers(2, size=(n, 3)).astype(np.int8),
        margins=margins,
    )


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("n", [0, 30])
def test_what_is_saved_comes_back(tmp_path: Path, clean: bool, n: int) -> None:
    before = made(clean) if n else replace(
        made(clean),
        **{name: getattr(made(clean), name)[:0] for name in ("filename", "split", "labels", "predictions", "margins")},
        clean_labels=made().labels[:0] if clean else None,
    )  # fmt: skip
    before.save(tmp_path / "predictions.parquet")
    after = Predictions.load(tmp_path / "predictions.parquet")
    assert after.attributes == before.attributes
    for name in ("filename", "split", "labels", "predictions", "margins", "clean_labels"):
        old, new = getattr(before, name), getattr(after, name)
        if old is None:
            assert new is None
        else:
            np.testing.assert_array_equal(old, new)
            assert n == 0 or old.dtype.kind == new.dtype.kind


def test_the_file_is_the_same_each_time_and_reads_as_a_table(tmp_path: Path) -> None:
    made().save(tmp_path / "a.parquet")
    made().save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names[:6] == ["filename", "split", "Bald.label", "Bald.prediction", "Bald.margin", "Bald.clean"]
    assert set(table.column("split").to_pylist()) <= {"train", "valid", "test"}


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    made().save(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet").drop_columns(["Bald.margin"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: expected columns .* missing or unknown: Bald.margin"):
        Predictions.load(tmp_path / "a.parquet")


def test_wrong_arrays_are_refused_by_name() -> None:
    good = made()
    with pytest.raises(ValueError, match=r"labels: expected shape \(30, 3\) for 30 file names, got \(30, 2\)"):
        replace(good, labels=good.labels[:, :2])
    with pytest.raises(ValueError, match=r"split\[4\] \(000004.jpg\): expected 0 train, 1 valid or 2 test, got -1"):
        replace(good, split=np.where(np.arange(30) == 4, -1, good.split).astype(np.int8))
    with pytest.raises(ValueError, match=r"margins\[2, 1\] \(000002.jpg, 5_o_Clock_Shadow\): .* got nan"):
        margins = good.margins.copy()
        margins[2, 1] = np.nan
        replace(good, margins=margins)


def test_attributes_csv_holds_the_scores_of_all_methods(tmp_path: Path) -> None:
    made_up = made()
    scores = score(made_up.labels, made_up.predictions, made_up.attributes, bootstrap=50)
    other = score(made_up.labels, 1 - made_up.predictions, made_up.attributes, bootstrap=0)
    attributes_csv(tmp_path / "attributes.csv", scores, {"bce": other})
    with (tmp_path / "attributes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["attribute"] for row in rows] == list(made_up.attributes)
    for row, ours, theirs in zip(rows, scores.attributes, other.attributes, strict=True):
        assert int(row["positives"]) == ours.support[1]
        assert float(row["positive_rate"]) == pytest.approx(ours.support[1] / 30, abs=1e-6)
        assert float(row["tpr"]) == pytest.approx(ours.tpr, abs=1e-6)
        assert float(row["balanced_accuracy"]) == pytest.approx(ours.balanced_accuracy, abs=1e-6)
        assert float(row["bce_balanced_accuracy"]) == pytest.approx(theirs.balanced_accuracy, abs=1e-6)
        assert float(row["interval_low"]) < float(row["balanced_accuracy"]) < float(row["interval_high"])


def test_attributes_csv_of_three_classes_and_of_an_absent_one(tmp_path: Path) -> None:
    labels = np.array([[0], [1], [1]], dtype=np.int8)
    scores = score(labels, labels, ["Age"], n_classes=3, bootstrap=0)
    attributes_csv(tmp_path / "attributes.csv", scores)
    text = (tmp_path / "attributes.csv").read_text()
    assert text == (
        "attribute,images,images_0,images_1,images_2,recall_0,recall_1,recall_2,balanced_accuracy,total_accuracy,"
        "interval_low,interval_high\nAge,3,1,2,0,1.000000,1.000000,,1.000000,1.000000,,\n"
    )


def test_a_baseline_of_other_attributes_is_refused(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [1, 0]], dtype=np.int8)
    ours = score(labels, labels, ["Bald", "Male"], bootstrap=0)
    with pytest.raises(ValueError, match="baseline 'pca': expected the attributes Bald, Male, in this order"):
        attributes_csv(tmp_path / "a.csv", ours, {"pca": score(labels, labels, ["Male", "Bald"], bootstrap=0)})
