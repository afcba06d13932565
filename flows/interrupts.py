"""Interrupts that arrive: SIGTERM counts as Ctrl-C, and one that hits where no exception can be raised comes again."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

AGAIN = 0.05
STDERR = 2
arrived = threading.Event()
"""Set once an interrupt has come: whatever error it turns into on its way, it was one."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise KeyboardInterrupt in the main thread, to which this call belongs.

    Corner cases: Python drops an exception that is raised inside a finaliser or a garbage collector's callback, as
    Dask has one; the interrupt is then repeated a moment later.
    """
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    before = sys.unraisablehook

    def dropped(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            before(unraisable)

    sys.unraisablehook = dropped
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if not arrived.is_set():
        with suppress(OSError):
            os.write(STDERR, b"lmle: stopping\n")
    arrived.set()
    raise KeyboardInterrupt


def end_with_parent() -> None:
    """In a process of a pool: leave Ctrl-C to the parent, and end when the parent does, however that comes about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
