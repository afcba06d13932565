"""A data set in several folders: the rows of each, one folder after the other, as one data set."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lmle_core.celeba.annotations import CelebA, read_celeba
from lmle_core.celeba.layout import DataError, enumerate_names
from lmle_core.location import Location


def read_folders(directory: Location, more: Sequence[Location] = (), attributes: Sequence[str] = ()) -> CelebA:
    """Read a data set in CelebA's layout and append the rows of other folders in that layout.

    Args:
        directory: as in `read_celeba`.
        more: folders whose rows follow, in this order.
        attributes: those to keep, in this order; empty: all.

    Raises:
        DataError: as `read_celeba`; for a file name that occurs in two folders; for a folder that has other attributes
            than the first, or lacks a table (identities, landmarks, clean attributes) that the first has, or has one
            more.
    """
    whole = _chosen(read_celeba(directory), attributes)
    for folder in more:
        whole = _appended(whole, _chosen(read_celeba(folder), attributes))
    return whole


def _chosen(source: CelebA, attributes: Sequence[str]) -> CelebA:
    return source.subset(attributes) if attributes else source


def _appended(whole: CelebA, part: CelebA) -> CelebA:
    """All rows of the one and then of the other. Raises DataError where they do not fit."""
    names = set(whole.filenames)
    twice = [name for name in part.filenames if name in names]
    if twice:
        raise DataError(
            f"{part.directory}: expected file names that the folders before it do not have, found "
            f"{enumerate_names(twice)} again; rename the files"
        )
    if set(part.attributes) != set(whole.attributes):
        other = sorted(set(part.attributes) ^ set(whole.attributes))
        raise DataError(
            f"{part.directory}: expected the attributes of {whole.directory}; only one of them has "
            f"{enumerate_names(other)}; choose common ones with data.attributes"
        )
    part = part.subset(whole.attributes)
    return replace(
        whole,
        filenames=whole.filenames + part.filenames,
        labels=np.concatenate([whole.labels, part.labels]),
        split=np.concatenate([whole.split, part.split]),
        identity=_joined("identities", whole, part, whole.identity, part.identity),
        landmarks=_joined("landmarks", whole, part, whole.landmarks, part.landmarks),
        clean_labels=_joined("clean attributes", whole, part, whole.clean_labels, part.clean_labels),
        tables=whole.tables + part.tables,
        stamps=whole.stamps + part.stamps,
        folders=whole.folders + part.folders,
    )


def _joined(
    what: str, whole: CelebA, part: CelebA, first: np.ndarray | None, second: np.ndarray | None
) -> np.ndarray | None:
    if first is not None and second is not None:
        return np.concatenate([first, second])
    if first is None and second is None:
        return None
    having, lacking = (whole, part) if second is None else (part, whole)
    raise DataError(
        f"{lacking.directory}: expected a table of {what}, as {having.directory} has; add it, or remove the other"
    )
