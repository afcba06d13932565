"""Where the rows to be clustered lie: in memory, or in an artefact that any process opens by its path."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lmle_core.features import Features

BLOCK = 4096
"""Rows of a block. Partial sums are made by the block, so a result depends on this number, and on no worker count."""


class Rows(Protocol):
    """Features and labels of the rows to be clustered, read by ranges. Pickles small (see `part`)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows n, embeddings of a row G (one an attribute, or 1 for all), dimensions D."""

    @property
    def labels(self) -> NDArray[np.int8]:
        """Class of each row under each attribute, shape (n, A)."""

    @property
    def index(self) -> NDArray[np.int64]:
        """Index of each row in the whole data set, shape (n,)."""

    def features(self, lo: int, hi: int) -> NDArray[np.float32]:
        """Features of the rows lo to hi, shape (hi - lo, G, D)."""

    def part(self, lo: int, hi: int) -> Self:
        """The rows lo to hi alone."""


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """Rows of an array in memory, or of a memory map.

    Attributes:
        array: float32 (N, G, D).
        labels: int8 (n, A), of the selected rows.
        rows: int64 (n,), the selected rows of the array; None: all.

    Raises:
        ValueError: where the shapes do not fit each other.
    """

    array: NDArray[np.float32]
    labels: NDArray[np.int8]
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        _check(self.array.shape, self.array.dtype, self.labels, self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows n, embeddings of a row G, dimensions D."""
        return len(self.labels), self.array.shape[1], self.array.shape[2]

    @property
    def index(self) -> NDArray[np.int64]:
        """Index of each row in the array, shape (n,)."""
        return np.arange(len(self.labels), dtype=np.int64) if self.rows is None else self.rows

    def features(self, lo: int, hi: int) -> NDArray[np.float32]:
        """Features of the rows lo to hi, shape (hi - lo, G, D); a view where all rows are selected."""
        return self.array[lo:hi] if self.rows is None else self.array[self.rows[lo:hi]]

    def part(self, lo: int, hi: int) -> Self:
        """The rows lo to hi alone, with their features."""
        return replace(self, array=self.features(lo, hi), labels=self.labels[lo:hi], rows=None)


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows of an artefact on disk, opened by its path wherever they are needed.

    Attributes:
        path: a directory with a zarr array `features`, or an .npy file; float32 (N, G, D).
        labels: int8 (n, A), of the selected rows.
        rows: int64 (n,), the selected rows of the artefact; None: all.

    Raises:
        ValueError: where the shapes do not fit each other.
    """

    path: str
    labels: NDArray[np.int8]
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        array = self._open()
        _check(array.shape, array.dtype, self.labels, self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows n, embeddings of a row G, dimensions D."""
        _, groups, dimensions = self._open().shape
        return len(self.labels), groups, dimensions

    @property
    def index(self) -> NDArray[np.int64]:
        """Index of each row in the artefact, shape (n,)."""
        return np.arange(len(self.labels), dtype=np.int64) if self.rows is None else self.rows

    def features(self, lo: int, hi: int) -> NDArray[np.float32]:
        """Features of the rows lo to hi, shape (hi - lo, G, D)."""
        array = self._open()
        if self.rows is None:
            return np.asarray(array[lo:hi])
        wanted = self.rows[lo:hi]
        if len(wanted) == 0:
            return np.empty((0, *array.shape[1:]), np.float32)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        if last - first <= 4 * len(wanted):  # dense enough: one read of whole chunks
            return np.asarray(array[first:last])[wanted - first]
        return np.asarray(array[wanted] if isinstance(array, np.ndarray) else array.oindex[wanted])

    def part(self, lo: int, hi: int) -> Self:
        """The rows lo to hi alone; carries no features."""
        return replace(self, labels=self.labels[lo:hi], rows=self.index[lo:hi])

    def _open(self) -> Any:
        path = Path(self.path)
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r")
        return Features.open(path).array


def ranges(n: int, block: int = BLOCK) -> Iterator[tuple[int, int]]:
    """The blocks of n rows, in order."""
    for lo in range(0, n, block):
        yield lo, min(lo + block, n)


def _check(
    shape: tuple[int, ...], dtype: np.dtype[Any], labels: NDArray[np.int8], rows: NDArray[np.int64] | None
) -> None:
    if len(shape) != 3 or dtype != np.float32:
        raise ValueError(f"features: expected float32 (N, G, D), found {dtype} {shape}")
    if labels.ndim != 2 or labels.dtype != np.int8:
        raise ValueError(f"labels: expected int8 (n, A), found {labels.dtype} {labels.shape}")
    if shape[1] not in (1, labels.shape[1]):
        raise ValueError(
            f"features: {shape[1]} embeddings a row for {labels.shape[1]} attributes: expected 1 or as many"
        )
    if rows is None:
        if len(labels) != shape[0]:
            raise ValueError(f"labels: {len(labels)} rows for {shape[0]} rows of features: select them with `rows`")
        return
    if rows.dtype != np.int64 or rows.shape != (len(labels),):
        raise ValueError(f"rows: expected int64 ({len(labels)},), one a label row, found {rows.dtype} {rows.shape}")
    if len(rows) and (rows.min() < 0 or rows.max() >= shape[0]):
        raise ValueError(f"rows: expected 0 to {shape[0] - 1}, found {rows.min()} to {rows.max()}")
