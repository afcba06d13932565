"""What CelebA says of its images: attributes, split, identity and landmarks, each row checked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from upath import UPath

from lmle_core.artefact import digest_of
from lmle_core.celeba.images import ImageReader, open_images
from lmle_core.celeba.layout import DataError, enumerate_names, find, require
from lmle_core.celeba.tables import Table, read_table
from lmle_core.location import Location, locate, reaching
from lmle_core.spelling import did_you_mean

ATTRIBUTES_FILE = "list_attr_celeba"
PARTITION_FILE = "list_eval_partition"
IDENTITY_FILE = "identity_CelebA"
LANDMARKS_FILE = "list_landmarks_align_celeba"
CLEAN_FILE = "list_attr_clean_celeba"
HEADLESS = {PARTITION_FILE: ("partition",), IDENTITY_FILE: ("identity",)}
"""Tables whose text form has rows only."""


@dataclass(frozen=True)
class CelebA:
    """A data set in CelebA's layout: N images, A attributes. Its images are read through `reader`.

    Attributes:
        directory: the folder, or the storage's path, where it lies.
        filenames: N names, in the order of the attribute table.
        attributes: A names.
        labels: class of each image and attribute, shape (N, A), int8: 0 where the file says -1 (or 0), 1 where 1.
        split: shape (N,), int8: 0 train, 1 valid, 2 test.
        identity: shape (N,), int32, or None.
        landmarks: x and y of both eyes, nose and both mouth corners, shape (N, 10), int16, or None.
        clean_labels: as `labels`, before label noise (procedural faces have them), or None.
        tables: name of each annotation file, and digest of what was read of it.
        reader: reads the images.
        stamps: for each image file its size, and its time of change (in a folder) or checksum (in a zip or a storage).
        folders: where the rows come from, and how many from each, in their order: `directory` and what was appended.
    """

    directory: Path | UPath
    filenames: tuple[str, ...]
    attributes: tuple[str, ...]
    labels: np.ndarray
    split: np.ndarray
    identity: np.ndarray | None
    landmarks: np.ndarray | None
    clean_labels: np.ndarray | None
    tables: tuple[tuple[str, str], ...]
    reader: ImageReader
    stamps: tuple[tuple[int, int], ...]
    folders: tuple[tuple[Path | UPath, int], ...]

    def subset(self, attributes: Sequence[str]) -> "CelebA":
        """The same images with some of the attributes, in the given order.

        Raises:
            DataError: for an unknown or repeated name.
        """
        for position, name in enumerate(attributes):
            if name not in self.attributes:
                hint = did_you_mean(name, self.attributes) or f"there are {', '.join(self.attributes)}"
                raise DataError(f"unknown attribute {name!r} in {self.directory}; {hint}")
            if name in attributes[:position]:
                raise DataError(f"attribute {name!r} is asked for twice")
        columns = [self.attributes.index(name) for name in attributes]
        return replace(
            self,
            attributes=tuple(attributes),
            labels=np.ascontiguousarray(self.labels[:, columns]),
            clean_labels=None if self.clean_labels is None else np.ascontiguousarray(self.clean_labels[:, columns]),
        )

    def fingerprint(self) -> str:
        """Identifies the annotation bytes that were read, and image files by what the file system or the zip says.

        Images are not read: a folder tells name, size and time of change, a zip or a storage name, size and checksum.
        """
        return digest_of({"tables": self.tables, "images": self.filenames, "stamps": self.stamps})


def read_celeba(directory: Location | str) -> CelebA:
    """Read a data set in CelebA's layout, as published (text) or as Kaggle distributes it (CSV).

    Args:
        directory: path or URL; holds the annotation files and `img_align_celeba/` or `img_align_celeba.zip`, itself or
            in the usual sub-folders (`layout.FOLDERS`). Attributes and partition are needed, the other tables are
            optional.

    Raises:
        DataError: with file, line number, what was expected and what was found.
        LocationError: if the storage that a URL names cannot be used.

    Corner cases: a table that is there as text and as CSV is refused. An attribute file uses -1 and 1, or 0 and 1,
    throughout. Every table must name the same images, in any order; image files that no table names are
    ignored.
    """
    directory = locate(directory)
    with reaching(directory):
        return _read_celeba(directory)


def _read_celeba(directory: Path | UPath) -> CelebA:
    attributes = _read(directory, ATTRIBUTES_FILE, needed=True)
    partition = _read(directory, PARTITION_FILE, needed=True)
    identity = _read(directory, IDENTITY_FILE)
    landmarks = _read(directory, LANDMARKS_FILE)
    clean = _read(directory, CLEAN_FILE)
    assert attributes is not None
    assert partition is not None
    if not attributes.filenames:
        raise DataError(f"{attributes.path}: no images; expected one row for each")
    _check_paths(attributes)
    _check(partition, np.isin(partition.values, (0, 1, 2)), "0 (train), 1 (valid) or 2 (test)")
    if clean is not None and clean.columns != attributes.columns:
        raise DataError(f"{clean.path} line 2: expected the attributes of {attributes.path}, in the same order")
    if landmarks is not None and len(landmarks.columns) != 10:
        raise DataError(
            f"{landmarks.path}: expected 10 columns, x and y of 5 landmarks, found {len(landmarks.columns)}"
        )
    reader = open_images(directory)
    tables = [table for table in (attributes, partition, identity, landmarks, clean) if table is not None]
    return CelebA(
        directory=directory,
        filenames=attributes.filenames,
        attributes=attributes.columns,
        labels=_classes(attributes),
        split=_aligned(partition, attributes, partition.values[:, 0].astype(np.int8)),
        identity=None if identity is None else _aligned(identity, attributes, _narrow(identity, np.int32)[:, 0]),
        landmarks=None if landmarks is None else _aligned(landmarks, attributes, _narrow(landmarks, np.int16)),
        clean_labels=None if clean is None else _aligned(clean, attributes, _classes(clean)),
        tables=tuple((table.path.name, table.digest) for table in tables),
        reader=reader,
        stamps=_stamps(attributes, reader),
        folders=((directory, len(attributes.filenames)),),
    )


def _read(directory: Path | UPath, stem: str, needed: bool = False) -> Table | None:
    names = (f"{stem}.txt", f"{stem}.csv")
    path = require(directory, names) if needed else find(directory, names)
    if path is not None and path.name == names[0] and (other := find(directory, names[1:])) is not None:
        raise DataError(f"{path} and {other} say the same of the images, or not: remove the one that is not to be read")
    return None if path is None else read_table(path, HEADLESS.get(stem))


def _classes(table: Table) -> np.ndarray:
    """Class indices (N, A), int8, from a table of -1 and 1, or of 0 and 1."""
    values = table.values
    _check(table, np.isin(values, (-1, 0, 1)), "-1 or 1")
    unlike_one = values.ravel()[np.flatnonzero(values.ravel() != 1)]
    if len(unlike_one) and (unlike_one != unlike_one[0]).any():
        row = int(np.argmax((values == unlike_one[0]).any(axis=1)))
        _check(
            table,
            (values == 1) | (values == unlike_one[0]),
            f"{unlike_one[0]} or 1 (a file uses -1 and 1, or 0 and 1; line {table.lines[row]} has {unlike_one[0]})",
        )
    return (values == 1).astype(np.int8)


def _check(table: Table, right: np.ndarray, expected: str) -> None:
    """Refuse the first value of a table that is not right; `right` has the shape of `table.values`."""
    if right.all():
        return
    row, column = (int(index) for index in np.argwhere(~right)[0])
    raise DataError(
        f"{table.path} line {table.lines[row]}: expected {expected} for {table.columns[column]} of "
        f"{table.filenames[row]}, found {table.values[row, column]}"
    )


def _narrow(table: Table, dtype: type[np.integer]) -> np.ndarray:
    """The values in a smaller type, if they fit."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    _check(table, (table.values >= low) & (table.values <= high), f"a number from {low} to {high}")
    return table.values.astype(dtype)


def _aligned(table: Table, reference: Table, values: np.ndarray) -> np.ndarray:
    """Rows of `values`, which belong to `table`, in the order of the reference's file names."""
    if table.filenames == reference.filenames:
        return values
    rows = {name: row for row, name in enumerate(table.filenames)}
    for one, other in ((reference, table), (table, reference)):
        names = rows if other is table else dict.fromkeys(reference.filenames)
        absent = [row for row, name in enumerate(one.filenames) if name not in names]
        if absent:
            raise DataError(
                f"{one.path} line {one.lines[absent[0]]}: expected each image in {other.path} too, where "
                f"{enumerate_names(one.filenames[row] for row in absent)} are missing"
            )
    return values[[rows[name] for name in reference.filenames]]


def _check_paths(table: Table) -> None:
    for row, name in enumerate(table.filenames):
        if (".." in name and ".." in name.split("/")) or name[0] == "/":
            raise DataError(f"{table.path} line {table.lines[row]}: expected a name within the image folder: {name!r}")


def _stamps(table: Table, reader: ImageReader) -> tuple[tuple[int, int], ...]:
    """What `reader` tells of each image's file. Raises DataError where some are missing."""
    entries = reader.entries()
    missing = [name for name in table.filenames if name not in entries]
    if missing:
        raise DataError(
            f"{table.path} names images that are not in {reader.path}: {enumerate_names(missing)} of "
            f"{len(table.filenames)}; complete the images or remove the rows"
        )
    return tuple(entries[name] for name in table.filenames)
