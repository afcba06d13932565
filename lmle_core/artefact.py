"""Artefacts on disk: a stage's directory appears whole or not at all.

A stage writes under `<key>.partial`, which is fsynced and renamed to `<key>` once `COMMITTED.json` is inside. A
directory with a valid marker is done; anything else is redone, or continued where the stage knows how.
"""

import ast
import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from upath import UPath

MARKER = "COMMITTED.json"


@dataclass(frozen=True)
class Reference:
    """What travels between stages: where an artefact lies and what identifies it.

    Attributes:
        stage: the name of the stage that made it.
        path: its directory.
        digest: identifies its content; later stages derive their own key from it.
    """

    stage: str
    path: str
    digest: str


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, and no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value, as 32 hexadecimal digits (128 bits)."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


def bytes_digest(content: bytes) -> str:
    """SHA-256 of bytes, as 32 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:32]


def file_digest(path: Path | UPath) -> str:
    """SHA-256 of a file's bytes, as 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]  # type: ignore[arg-type]  # it has readinto


def code_version(*modules: str) -> str:
    """Digest of modules' sources and of every `lmle_core` module that they import, directly or not.

    A change of the figures therefore redoes no training, and a change of the loss redoes every round. Each module is
    read once in a process.
    """
    return digest_of(sources_of(*modules))


def sources_of(*modules: str) -> dict[str, str]:
    """Modules' sources and those of every `lmle_core` module that they import, directly or not, by name."""
    sources: dict[str, str] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in sources:
            sources[name], imported = read_module(name)
            pending += imported
    return sources


@cache
def read_module(name: str) -> tuple[str, list[str]]:
    """A module's source with what it reads from beside it, and the `lmle_core` modules that it imports."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"code_version: no source for the module {name!r}")
    source = Path(spec.origin).read_text()
    beside = [Path(spec.origin).with_suffix(suffix) for suffix in (".json", ".html")]
    imported: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lmle_core":
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names if alias.name.split(".")[0] == "lmle_core"]
    text = source + "".join(file.read_text() for file in beside if file.exists())
    return text, [each for each in imported if _is_module(each)]


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent is a module, not a package: the name is one of its members
        return False


def stage_key(stage: str, code: str, inputs: Mapping[str, Any]) -> str:
    """The identity of a stage's artefact: its name, its code and everything that it reads."""
    return digest_of({"stage": stage, "code": code, "inputs": dict(inputs)})


def read_commit(directory: Path) -> dict[str, Any] | None:
    """The marker of a committed directory, or None where it is absent, damaged, or its files are not all there."""
    try:
        record: dict[str, Any] = json.loads((directory / MARKER).read_text())
        sizes = record["files"]
        complete = all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if complete else None


def committed(directory: Path) -> Reference | None:
    """The reference of a committed directory, or None."""
    record = read_commit(directory)
    if record is None:
        return None
    return Reference(stage=record["stage"], path=str(directory), digest=record["digest"])


@contextmanager
def committing(
    directory: Path, stage: str, inputs: Mapping[str, Any], *, resume: bool = False
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Write a stage's directory so that it appears whole or not at all.

    Args:
        directory: the final place; its name is the artefact's key.
        stage: the stage's name, for the marker.
        inputs: what the key was made from, for the marker.
        resume: keep what an interrupted writer left in the partial directory.

    Yields:
        The partial directory to write to, and a record whose `digest` (default: the key) may be replaced by a digest
        of the content, and whose other entries are kept in the marker.

    Corner cases: one writer at a time; a second one waits, and finds the directory committed (see `committed`).
    An exception leaves the partial directory behind for the next attempt, and nothing under the final name.
    """
    partial = directory.with_name(directory.name + ".partial")
    with lock(directory):
        if not resume:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        record: dict[str, Any] = {"stage": stage, "inputs": dict(inputs), "digest": directory.name}
        yield partial, record
        files = {
            str(path.relative_to(partial)): path.stat().st_size
            for path in sorted(partial.rglob("*"))
            if path.is_file() and path.name != MARKER
        }
        (partial / MARKER).write_text(json.dumps({**record, "files": files}, sort_keys=True, indent=1))
        settle(partial, directory)


def make_once(
    directory: Path,
    stage: str,
    inputs: Mapping[str, Any],
    make: Callable[[Path, dict[str, Any]], None],
    *,
    resume: bool = False,
) -> tuple[Reference, bool]:
    """The committed directory, made by `make(partial, record)` where it is not there yet (see `committing`).

    Returns:
        Its reference, and whether it was found done; its time of change is then that of now.
    """
    with suppress(OSError):  # not there, or another user's; before the look, so that nobody removes it after
        os.utime(directory)
    reference = committed(directory)
    if reference is not None:
        return reference, True
    with lock(directory):  # a second process waits here, and then finds it done
        reference = committed(directory)
        if reference is not None:
            return reference, True
        with committing(directory, stage, inputs, resume=resume) as (partial, record):
            begun = time.perf_counter()
            make(partial, record)
            record["seconds"] = round(time.perf_counter() - begun, 3)
    reference = committed(directory)
    assert reference is not None
    return reference, False


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that a reader, or a crash, sees the old or the new one whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    fsync(partial)
    partial.replace(path)


def settle(partial: Path, directory: Path) -> None:
    """Give a directory that is whole its final name, in place of what has it; one process at a time, see `lock`."""
    _fsync_tree(partial)
    old = directory.with_name(f"{directory.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    partial.rename(directory)
    fsync(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def lock(directory: Path) -> FileLock:
    """The directory's one lock; taken again by the same thread, it is held until the outermost release."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock_file(directory), is_singleton=True)


def lock_file(directory: Path) -> Path:
    """What `lock` locks."""
    return directory.with_name(f".{directory.name}.lock")


def _fsync_tree(directory: Path) -> None:
    for path in sorted(directory.rglob("*")):
        fsync(path)
    fsync(directory)


def fsync(path: Path) -> None:
    """See that a file, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
