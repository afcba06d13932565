"""Known checksums of the published files: compared and reported, never required."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from upath import UPath

from lmle_core.celeba.facts import MD5
from lmle_core.celeba.images import ARCHIVE
from lmle_core.celeba.layout import find
from lmle_core.location import Location, locate, reaching


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


def check_sums(directory: Location | str) -> list[Checksum]:
    """Compare the files of a data set with the published ones; a home-made data set differs, and that is no error.

    Raises:
        DataError: if `directory` is not a directory.

    Corner cases: of a data set in a storage, the archive of images is not compared: it would be fetched for that.
    """
    directory = locate(directory)
    names = [name for name in MD5 if isinstance(directory, Path) or name != ARCHIVE]
    checksums = []
    for name in names:
        with reaching(directory):
            path = find(directory, (name,))
            found = None if path is None else _md5(path)
        checksums.append(Checksum(name, MD5[name], found, found == MD5[name]))
    return checksums


def _md5(path: Path | UPath) -> str:
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))  # type: ignore[arg-type]
        return md5.hexdigest()
