"""Rows are read the same from memory, .npy and zarr, by ranges, selected or not."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr

from lmle_core.kmeans import ArrayRows, Rows, StoredRows
from lmle_core.kmeans.source import ranges

ARRAY = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(2, size=(50, 3)).astype(np.int8)
SELECTIONS = {
    "all": None,
    "dense": np.arange(7, 40, 2),
    "sparse": np.array([1, 30, 49]),
    "unordered": np.array([40, 2, 2, 11]),
    "none": np.arange(0),
}


def _sources(directory: Path, rows: np.ndarray | None) -> list[Rows]:
    labels = LABELS if rows is None else LABELS[rows]
    np.save(directory / "features.npy", ARRAY)
    stored = zarr.create_array(directory / "artefact" / "features", shape=ARRAY.shape, chunks=(16, 3, 4), dtype="f4")
    stored[:] = ARRAY
    return [
        ArrayRows(ARRAY, labels, rows),
        StoredRows(str(directory / "features.npy"), labels, rows),
        StoredRows(str(directory / "artefact"), labels, rows),
    ]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_source_reads_the_selected_rows(tmp_path: Path, selection: str) -> None:
    rows = SELECTIONS[selection]
    wanted = np.arange(50) if rows is None else rows
    for source in _sources(tmp_path, rows):
        assert source.shape == (len(wanted), 3, 4)
        np.testing.assert_array_equal(source.index, wanted)
        for lo, hi in ranges(len(wanted), 6):
            np.testing.assert_array_equal(source.features(lo, hi), ARRAY[wanted[lo:hi]])
            part = pickle.loads(pickle.dumps(source.part(lo, hi)))
            np.testing.assert_array_equal(part.features(0, hi - lo), ARRAY[wanted[lo:hi]])
            np.testing.assert_array_equal(part.labels, LABELS[wanted[lo:hi]])


def test_a_stored_part_carries_no_features(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.zeros((100_000, 1, 64), np.float32))
    source = StoredRows(str(tmp_path / "features.npy"), np.zeros((100_000, 2), np.int8))
    assert len(pickle.dumps(source.part(0, 1000))) < 20_000


@pytest.mark.parametrize(
    ("array", "labels", "rows", "message"),
    [
        (ARRAY.astype(np.float64), LABELS, None, "expected float32"),
        (ARRAY[:, 0], LABELS, None, "expected float32"),
        (ARRAY, LABELS.astype(np.int64), None, "expected int8"),
        (ARRAY, LABELS[:, :2], None, "3 embeddings a row for 2 attributes"),
        (ARRAY, LABELS[:40], None, "40 rows for 50 rows of features"),
        (ARRAY, LABELS, np.arange(40), "expected int64 .50"),
        (ARRAY, LABELS[:2], np.array([0, 50]), "expected 0 to 49, found 0 to 50"),
    ],
)
def test_a_misfit_is_refused(array: np.ndarray, labels: np.ndarray, rows: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ArrayRows(array, labels, rows)
