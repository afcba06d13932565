"""The terminal's side of a run: progress as a bar for the stage at work, or as plain lines."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

PLAIN_WIDTH = 160


def console(stderr: bool = False) -> Console:
    """Of the terminal's width, or of `PLAIN_WIDTH`; names are shown as they are, whatever markup they look like."""
    found = Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = PLAIN_WIDTH
    return found


def print_table(table: Table) -> None:
    """Print a table, folded into the width of a terminal; anywhere else a row is one line, however long."""
    out = console()
    for column in table.columns:
        column.overflow = "fold"
    if not out.is_terminal:
        out.width = max(out.width, Measurement.get(out, out.options.update(max_width=1 << 20), table).maximum)
    out.print(table)


@dataclass
class Tally:
    """How many stages were found done, and how many were done anew."""

    found: int = 0
    anew: int = 0


@contextmanager
def progress_shown() -> Iterator[Tally]:
    """Show what the logger `lmle` says on stderr: on a terminal with a bar for the stage at work, else line by line.

    Yields:
        The stages' count, complete when the context ends.
    """
    out = console(stderr=True)
    logger = logging.getLogger("lmle")
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description:<12}"), BarColumn(30), MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"), console=out, transient=True, disable=not out.is_terminal,
    )  # fmt: skip
    tally = Tally()
    handlers = (_Handler(bar) if out.is_terminal else _Plain(out), _Counter(tally))
    before = logger.level, logger.propagate
    logger.propagate = False
    logger.setLevel(logging.DEBUG if out.is_terminal else logging.INFO)  # a bar takes every step
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with bar:
            yield tally
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Plain(logging.Handler):
    def __init__(self, out: Console) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.print(record.getMessage())


class _Counter(logging.Handler):
    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        found = getattr(record, "found", None)
        self._tally.found += found is True
        self._tally.anew += found is False


class _Handler(logging.Handler):
    """Records with `progress` move the bar of their stage; the others are printed above it."""

    def __init__(self, bar: Progress) -> None:
        super().__init__()
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        stage: str = getattr(record, "stage", "")
        if hasattr(record, "progress"):
            done, total, words = record.progress
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, words="")
            self._bar.update(self._tasks[stage], completed=done, total=total, words=words)
            return
        if hasattr(record, "found"):  # a stage ended; they come one after another
            for task in self._tasks.values():
                self._bar.remove_task(task)
            self._tasks.clear()
        self._bar.console.print(record.getMessage())
