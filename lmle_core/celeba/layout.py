"""Where the files of a data set in CelebA's layout lie: the published folders, torchvision's, or Kaggle's."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from upath import UPath

from lmle_core.location import Location

FOLDERS = (
    "", "Anno", "Eval", "Img", "celeba", "celeba/Anno", "celeba/Eval", "celeba/Img",
)  # fmt: skip
"""Sub-folders in which a file is looked for, in this order."""


class DataError(ValueError):
    """Input data that were refused; the message says what was expected, what was found and where."""


def find(directory: Location, names: Sequence[str]) -> Path | UPath | None:
    """The first of some files that exists in a directory or in one of its `FOLDERS`; earlier names win.

    Raises:
        DataError: if `directory` is not a directory.
    """
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "does not exist"
        raise DataError(f"{directory} {what}: expected a directory in CelebA's layout")
    for name in names:
        for folder in FOLDERS:
            path = directory / folder / name
            if path.is_file():
                return path
    return None


def require(directory: Location, names: Sequence[str]) -> Path | UPath:
    """`find`, or a DataError that says what was looked for and where."""
    path = find(directory, names)
    if path is None:
        places = ", ".join(folder or "the directory itself" for folder in FOLDERS)
        raise DataError(f"{directory}: no {' or '.join(names)}; looked in {places}")
    return path


def enumerate_names(names: Iterable[str], most: int = 5) -> str:
    """Count and first few of some names, for a message: `7 (a.jpg, b.jpg, ...)`."""
    listed = list(names)
    return f"{len(listed)} ({', '.join(listed[:most])}{', ...' if len(listed) > most else ''})"
