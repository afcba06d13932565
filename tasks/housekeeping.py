"""What a workspace could do without: leftovers of interrupted attempts, runs of long ago, and what no run needs."""

import json
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from lmle_core.artefact import MARKER, lock_file, read_commit
from tasks.unfinished import HEEDED, unfinished

SOURCES = "synth"
DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Removable:
    """A directory that could go.

    Attributes:
        path: of the directory.
        why: 'partial', left by an interrupted attempt; 'retired', a finished run; or 'unreferenced' by any run or
            comparison that stays.
        size: bytes that no other store shares.
    """

    path: Path
    why: Literal["partial", "retired", "unreferenced"]
    size: int


def old_runs(workspace: Path, keep: int) -> list[Path]:
    """The directories of the finished runs but the newest so many, the newest of them first."""
    finished = [path for path in workspace.glob(f"runs/*/{MARKER}") if not path.parent.name.endswith(".partial")]
    newest_first = sorted(finished, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [path.parent for path in newest_first[keep:]]


def removable(workspace: Path, older: float, retired: Collection[Path] = ()) -> list[Removable]:
    """Directories that no run or comparison needs and that nobody has used for a while.

    An artefact is needed where the marker of a run or comparison names its digest, or the list of one that is not
    finished does (`tasks.unfinished`), or the marker of an artefact that is needed.

    Args:
        workspace: the workspace.
        older: seconds since the last use.
        retired: finished runs that are to go, and what they alone need with them.

    Corner cases: a directory that a process is writing now is locked, and left alone. What interrupted attempts left is
    kept for a month where any run or comparison is not finished, which may go on from it. Procedural faces are left
    while any run or comparison is: a store is known by the content of its images and does not say which folder they
    came from.
    """
    limit = time.time() - older
    listed = unfinished(workspace)  # before the markers: a run that ends meanwhile is in one of them
    gone = {path for path in retired if _unlocked(path) and _last_change(path) < limit}
    finished = [
        marker
        for kind in ("runs", "comparisons")
        for marker in workspace.glob(f"{kind}/*/{MARKER}")
        if marker.parent not in gone
    ]
    roots = [*listed, *(text for marker in finished if (text := _text(marker)))]
    artefacts = [path for path in _directories(workspace) if not path.name.endswith(".partial")]
    records = {path: record for path in artefacts if (record := read_commit(path)) is not None}
    needed = _reachable(roots, records)
    found = [Removable(path, "retired", _own_size(path)) for path in sorted(gone)]
    abandoned = min(limit, time.time() - HEEDED) if listed else limit  # a run that is not finished may go on from it
    for path in _directories(workspace):
        why: Literal["partial", "retired", "unreferenced"]
        if path.name.endswith(".partial"):
            why, before = "partial", abandoned
        elif path not in needed and not (roots and path.parent.name == SOURCES):
            why, before = "unreferenced", limit
        else:
            continue
        if _unlocked(path) and _last_change(path) < before:
            found.append(Removable(path, why, _own_size(path)))
    return found


def remove(directory: Path, older: float) -> bool:
    """Delete an artefact that nobody uses; a crash in the midst leaves something that does not count as committed.

    Args:
        directory: of the artefact.
        older: seconds since its last use, which may have come after `removable` looked.

    Returns:
        Whether it is gone; not where a process is writing it, or has found it done meanwhile.
    """
    try:
        with FileLock(lock_file(_final(directory)), timeout=0):
            if _last_change(directory) >= time.time() - older:
                return False
            (directory / MARKER).unlink(missing_ok=True)
            going = directory
            if not directory.name.endswith(".partial"):  # what a crash leaves of it is found again, and is no run
                going = directory.with_name(f"{directory.name}.old.partial")
                shutil.rmtree(going, ignore_errors=True)
                directory.replace(going)
            shutil.rmtree(going)
            return True
    except Timeout:
        return False


def _directories(workspace: Path) -> Iterator[Path]:
    for pattern in ("stages/*/*", "stores/*", "runs/*.partial", "comparisons/*.partial"):
        yield from (path for path in sorted(workspace.glob(pattern)) if path.is_dir())


def _text(marker: Path) -> str:
    """What a marker says; '' where its directory is just being removed."""
    with suppress(FileNotFoundError):
        return marker.read_text()
    return ""


def _reachable(roots: list[str], records: dict[Path, dict[str, Any]]) -> set[Path]:
    by_digest: dict[str, set[Path]] = {}
    for path, record in records.items():
        for digest in {record["digest"], *DIGEST.findall(path.name)}:
            by_digest.setdefault(digest, set()).add(path)
    pending = [digest for root in roots for digest in DIGEST.findall(root)]
    needed: set[Path] = set()
    while pending:
        for path in by_digest.get(pending.pop(), set()) - needed:
            needed.add(path)
            pending += DIGEST.findall(json.dumps(records[path]["inputs"]))
    return needed


def _final(directory: Path) -> Path:
    """The artefact's name, of one that is made (`<key>.partial`) or fetched (`<key>.fetched.partial`) too."""
    return directory.with_name(directory.name.removesuffix(".partial").removesuffix(".fetched"))


def _last_change(directory: Path) -> float:
    times = []
    for path in (directory, *directory.rglob("*")):
        with suppress(FileNotFoundError):  # somebody writes there
            times.append(path.stat().st_mtime)
    return max(times, default=time.time())


def _own_size(directory: Path) -> int:
    """Bytes of the files that have no other name: a store that grew out of another shares its chunks with it."""
    states = [path.stat() for path in directory.rglob("*") if path.is_file()]
    return sum(state.st_size for state in states if state.st_nlink == 1)


def _unlocked(directory: Path) -> bool:
    try:
        with FileLock(lock_file(_final(directory)), timeout=0):
            return True
    except Timeout:
        return False
