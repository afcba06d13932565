"""What a classifier said about each image, as parquet, and how well about each attribute, as CSV."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lmle_core.metrics import AttributeScores, Scores

SPLITS = ("train", "valid", "test")
_RESERVED = ("filename", "split")
_KINDS = ("label", "prediction", "margin", "clean")


@dataclass(frozen=True)
class Predictions:
    """Labels, predictions and margins of n images.

    Attributes:
        filename: (n,) names of the images.
        split: (n,) int8; 0 train, 1 valid, 2 test.
        attributes: names of the A label columns.
        labels: (n, A) int8 classes as annotated.
        clean_labels: (n, A) int8 classes as they truly are, where that is known.
        predictions: (n, A) int8.
        margins: (n, A) float32, best score minus second; finite, not negative.
    """

    filename: np.ndarray
    split: np.ndarray
    attributes: tuple[str, ...]
    labels: np.ndarray
    clean_labels: np.ndarray | None
    predictions: np.ndarray
    margins: np.ndarray

    def __post_init__(self) -> None:
        n, columns = len(self.filename), len(self.attributes)
        wanted: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {
            "split": (self.split, (n,)),
            "labels": (self.labels, (n, columns)),
            "predictions": (self.predictions, (n, columns)),
            "margins": (self.margins, (n, columns)),
        }
        if self.clean_labels is not None:
            wanted["clean_labels"] = (self.clean_labels, (n, columns))
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise ValueError(f"{name}: expected shape {shape} for {n} file names, got {array.shape}")
        outside = np.flatnonzero((self.split < 0) | (self.split >= len(SPLITS)))
        if len(outside):
            row = outside[0]
            raise ValueError(
                f"split[{row}] ({self.filename[row]}): expected 0 train, 1 valid or 2 test, got {self.split[row]}; "
                "quarantined images have no prediction"
            )
        bad = np.argwhere(~(self.margins >= 0))
        if len(bad):
            row, column = bad[0]
            raise ValueError(
                f"margins[{row}, {column}] ({self.filename[row]}, {self.attributes[column]}): expected best score "
                f"minus second, at least 0, got {self.margins[row, column]}"
            )

    def save(self, path: Path) -> None:
        """Write columns filename, split, and `<attribute>.label`, `.prediction`, `.margin` (and `.clean`)."""
        import pyarrow as pa  # slow to import
        import pyarrow.parquet as pq

        columns = {
            "filename": pa.array([str(name) for name in self.filename], pa.string()),
            "split": pa.DictionaryArray.from_arrays(pa.array(self.split, pa.int8()), pa.array(SPLITS)),
        }
        arrays = {"label": self.labels, "prediction": self.predictions, "margin": self.margins}
        if self.clean_labels is not None:
            arrays["clean"] = self.clean_labels
        for a, attribute in enumerate(self.attributes):
            for kind, array in arrays.items():
                dtype = np.float32 if kind == "margin" else np.int8
                columns[f"{attribute}.{kind}"] = pa.array(np.ascontiguousarray(array[:, a], dtype=dtype))
        pq.write_table(pa.table(columns), path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises ValueError, naming the column, for a file of another layout."""
        import pyarrow.parquet as pq  # slow to import

        table = pq.read_table(path)
        names = table.column_names
        attributes = tuple(name.removesuffix(".label") for name in names if name.endswith(".label"))
        kinds = [kind for kind in _KINDS if kind != "clean" or any(name.endswith(".clean") for name in names)]
        expected = {*_RESERVED, *(f"{attribute}.{kind}" for attribute in attributes for kind in kinds)}
        if expected != set(names):
            wrong = ", ".join(sorted(expected.symmetric_difference(names))[:5])
            raise ValueError(
                f"{path}: expected columns filename, split and, for each attribute, its label, prediction and margin; "
                f"missing or unknown: {wrong}"
            )

        def matrix(kind: str) -> np.ndarray:
            columns = [table.column(f"{attribute}.{kind}").to_numpy() for attribute in attributes]
            return np.stack(columns, axis=1) if columns else np.zeros((len(table), 0), np.int8)

        codes = {name: code for code, name in enumerate(SPLITS)}
        return cls(
            filename=np.array(table.column("filename").to_pylist(), dtype=np.str_),
            split=np.array([codes[str(name)] for name in table.column("split").to_pylist()], dtype=np.int8),
            attributes=attributes,
            labels=matrix("label"),
            clean_labels=matrix("clean") if "clean" in kinds else None,
            predictions=matrix("prediction"),
            margins=matrix("margin"),
        )


def attributes_csv(path: Path, scores: Scores, baselines: Mapping[str, Scores] | None = None) -> None:
    """Write attributes.csv: a row an attribute, best read as a table.

    Columns: attribute, images, positives and positive_rate, tpr, tnr, balanced_accuracy, total_accuracy, low and high
    end of the 95 % interval, and `<baseline>_balanced_accuracy` each. More than two classes: images_0, ..., recall_0,
    ... take the place of positives and recalls.

    Args:
        path: the file.
        scores: of the classifier.
        baselines: of others on the same images, by name.

    Raises:
        ValueError: if a baseline has other attributes.
    """
    baselines = baselines or {}
    names = [row.attribute for row in scores.attributes]
    for baseline, other in baselines.items():
        if [row.attribute for row in other.attributes] != names:
            raise ValueError(f"baseline {baseline!r}: expected the attributes {', '.join(names)}, in this order")
    rows = [
        _row(row)
        | {f"{name}_balanced_accuracy": other.attributes[a].balanced_accuracy for name, other in baselines.items()}
        for a, row in enumerate(scores.attributes)
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for values in rows:
            writer.writerow({key: _text(value) for key, value in values.items()})


def _row(scores: AttributeScores) -> dict[str, str | int | float | None]:
    images = sum(scores.support)
    row: dict[str, str | int | float | None] = {"attribute": scores.attribute, "images": images}
    if len(scores.support) == 2:
        row |= {"positives": scores.support[1], "positive_rate": scores.support[1] / images}
        row |= {"tpr": scores.tpr, "tnr": scores.tnr}
    else:
        row |= {f"images_{c}": count for c, count in enumerate(scores.support)}
        row |= {f"recall_{c}": recall for c, recall in enumerate(scores.recall)}
    low, high = scores.interval or (None, None)
    return row | {
        "balanced_accuracy": scores.balanced_accuracy,
        "total_accuracy": scores.total_accuracy,
        "interval_low": low,
        "interval_high": high,
    }


def _text(value: str | int | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)
