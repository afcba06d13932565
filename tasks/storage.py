"""Artefacts that several machines share: found in the storage behind the workspace, and left there for the others."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmle_core.artefact import Reference, make_once
from lmle_core.config import Engines
from lmle_core.storage import Storage
from tasks.progress import say

VARIABLE = "LMLE_STORAGE"


@contextmanager
def sharing(engines: Engines, workspace: Path) -> Iterator[None]:
    """Let this process, and those that it starts meanwhile, use the configured storage.

    Raises:
        LocationError: if it cannot be used.
    """
    before = os.environ.get(VARIABLE)
    if engines.storage:
        os.environ[VARIABLE] = engines.storage
    try:
        if (storage := storage_behind(workspace)) is not None:
            storage.check()
            say(f"{'storage':<12} {storage.url}")
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def storage_behind(workspace: Path) -> Storage | None:
    """The storage that LMLE_STORAGE names; None where there is none."""
    url = os.environ.get(VARIABLE)
    return Storage(workspace.absolute(), url) if url else None


def make_shared(
    workspace: Path,
    directory: Path,
    stage: str,
    inputs: Mapping[str, Any],
    make: Callable[[Path, dict[str, Any]], None],
    *,
    resume: bool = False,
) -> tuple[Reference, bool]:
    """`make_once` in a workspace: what is not there is fetched from the storage behind it, what is made is uploaded."""
    storage = storage_behind(workspace)
    if storage is not None and storage.fetch(directory):
        say(f"{stage:<12} fetched from {storage.url}")
    reference, found = make_once(directory, stage, inputs, make, resume=resume)
    if storage is not None:
        storage.upload(directory)
    return reference, found
