"""What a classifier answers for images that nobody has labelled: one Parquet file a part, bad images with a reason."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lmle_core.artefact import fsync
from lmle_core.classifier import Classifier
from lmle_core.features import BATCH
from lmle_core.image_sets import ImagePart


@dataclass(frozen=True)
class Answers:
    """Classes and margins of n images.

    Attributes:
        filename: n names.
        attributes: A names.
        predictions: int8 (n, A).
        margins: float32 (n, A), best score minus second.
        errors: why an image has no answer, by its position; its predictions and margins mean nothing.
    """

    filename: tuple[str, ...]
    attributes: tuple[str, ...]
    predictions: np.ndarray
    margins: np.ndarray
    errors: dict[int, str]

    @classmethod
    def of(cls, classifier: Classifier, part: ImagePart) -> Self:
        """Classify the images of a part that can be decoded; the pixels of a few hundred are held at a time."""
        number = len(part.names)
        labels = np.empty((number, len(classifier.attributes)), np.int8)
        margins, errors = np.empty(labels.shape, np.float32), dict[int, str]()
        for lo in range(0, number, BATCH):
            hi = min(lo + BATCH, number)
            pixels, wrong = part.read(classifier, lo, hi)
            found = classifier.classify_pixels(pixels)
            labels[lo:hi], margins[lo:hi] = found.labels, found.margins
            errors |= {lo + position: reason for position, reason in wrong.items()}
        return cls(tuple(part.names), classifier.attributes, labels, margins, errors)

    def save(self, path: Path) -> None:
        """Write columns filename, `<attribute>.prediction`, `<attribute>.margin` and error, whole or not at all.

        An image without an answer has nulls, and its reason in `error`, which is null for the others. The names are
        those of a run's predictions.parquet. Of a file name that is not UTF-8, the bytes that are not are escaped.
        """
        import pyarrow as pa  # slow to import
        import pyarrow.parquet as pq

        absent = np.zeros(len(self.filename), bool)
        absent[list(self.errors)] = True
        columns = {"filename": pa.array(map(_text, self.filename), pa.string())}
        for a, attribute in enumerate(self.attributes):
            columns[f"{attribute}.prediction"] = pa.array(self.predictions[:, a], pa.int8(), mask=absent)
            columns[f"{attribute}.margin"] = pa.array(self.margins[:, a], pa.float32(), mask=absent)
        columns["error"] = pa.array([self.errors.get(row) for row in range(len(self.filename))], pa.string())
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")  # two workers may be given the same part
        pq.write_table(pa.table(columns), partial, compression="zstd")
        fsync(partial)
        partial.replace(path)


def _text(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


def read_errors(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """How many images a part's file holds, and the name and reason of each that has no answer."""
    import pyarrow.parquet as pq  # slow to import

    table = pq.read_table(path, columns=["filename", "error"])
    pairs = zip(table["filename"].to_pylist(), table["error"].to_pylist(), strict=True)
    return len(table), [(name, reason) for name, reason in pairs if reason is not None]
