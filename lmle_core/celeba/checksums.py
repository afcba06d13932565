"""Known checksums of the published files: compared and reported, never required."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from lmle_core.celeba.facts import MD5
from lmle_core.celeba.layout import find


class Checksum(NamedTuple):
    """One published file.

    Attributes:
        file: its name.
        expected: MD5 of the published file.
        found: MD5 of the file here; None where there is none.
        ok: whether the file is here and is the published one.
    """

    file: str
    expected: str
    found: str | None
    ok: bool


def check_sums(directory: Path) -> list[Checksum]:
    """Compare the files of a data set with the published ones; a home-made data set differs, and that is no error.

    Raises:
        DataError: if `directory` is not a directory.
    """
    checksums = []
    for name, expected in MD5.items():
        path = find(directory, (name,))
        found = None if path is None else _md5(path)
        checksums.append(Checksum(name, expected, found, found == expected))
    return checksums


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
