"""What runs and comparisons that are not finished have made: a list of each in the workspace, for `lmle gc` to heed."""

import time
from contextlib import suppress
from pathlib import Path

from lmle_core.artefact import Reference

FOLDER = "unfinished"
HEEDED = 30 * 24 * 3600
"""Seconds after which a list that has not grown is not heeded any more: its run will not be continued."""


def note(workspace: Path, name: str, made: Reference) -> None:
    """Add an artefact to the list of a run or comparison, which needs it until it is finished."""
    (workspace / FOLDER).mkdir(exist_ok=True)
    with (workspace / FOLDER / name).open("a") as file:
        file.write(f"{made.digest}\n")


def finish(workspace: Path, name: str) -> None:
    """Remove a list: from now on the marker of the run or comparison says what it needs."""
    (workspace / FOLDER / name).unlink(missing_ok=True)


def unfinished(workspace: Path) -> list[str]:
    """What the lists say that are heeded: a line each for an artefact's digest."""
    limit, found = time.time() - HEEDED, []
    for path in (workspace / FOLDER).glob("*"):
        with suppress(FileNotFoundError):  # its run has just been finished
            if path.stat().st_mtime > limit:
                found.append(path.read_text())
    return found
