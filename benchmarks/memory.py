"""Peak memory of a stage: anonymous memory of this process and its workers, and what torch has on the device."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from os import getpid
from pathlib import Path

import torch

INTERVAL = 0.02
"""Seconds between two looks."""


class Peak:
    """The largest memory seen, in bytes.

    Attributes:
        host: of all processes together. Pages of mapped files do not count: the system takes them back when it likes.
        device: allocated by torch; 0 without a GPU.
    """

    host = 0
    device = 0


@contextmanager
def watched(device: torch.device) -> Iterator[Peak]:
    """Watch the memory of a block (Linux); `Peak` is filled when it ends."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while True:
            children = (child.pid for child in active_children() if child.pid is not None)
            peak.host = max(peak.host, sum(_anonymous(pid) for pid in (getpid(), *children)))
            if over.wait(INTERVAL):
                return

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
        if device.type == "cuda":
            peak.device = torch.cuda.max_memory_allocated(device)


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended, or this is not Linux
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))
