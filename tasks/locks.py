"""Locks that say when they are waited for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.progress import say


@contextmanager
def held(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock of a file; where another process has it, say so, then wait.

    Args:
        path: of the file.
        waiting: what to say.
    """
    lock = FileLock(path)
    try:
        acquired = lock.acquire(timeout=0)
    except Timeout:
        say(waiting)
        acquired = lock.acquire()
    with acquired:
        yield
