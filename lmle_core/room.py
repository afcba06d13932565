"""Room on a disk, looked at before much is written there."""

import shutil
from pathlib import Path

SPARE = 64 << 20
"""Bytes that are left for databases and logs."""

FULL = 1 << 20
"""Bytes under which nothing more can be relied on to be written."""


class NoRoomError(RuntimeError):
    """A disk cannot hold what is to be written; the message says how much is wanted and free."""


def check_room(directory: Path, wanted: int, what: str) -> None:
    """Refuse to begin what a directory's disk has no room for.

    Args:
        directory: where it is to be written; it is there.
        wanted: bytes.
        what: is to be written, in words.

    Raises:
        NoRoomError: where less than that and `SPARE` is free.
    """
    free = shutil.disk_usage(directory).free
    if free < wanted + SPARE:
        raise NoRoomError(
            f"{what} take {(wanted + SPARE) / 2**30:.2f} GiB, and the disk of {directory} has {free / 2**30:.2f} free: "
            "make room, or choose another disk with --workspace; `lmle gc` lists what no run needs"
        )


def is_full(directory: Path) -> bool:
    """Whether the disk of a directory, or of what of its path is there, is full."""
    there = next(each for each in (directory, *directory.parents) if each.exists())
    return shutil.disk_usage(there).free < FULL
