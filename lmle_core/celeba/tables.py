"""One annotation table, as published (text) or as Kaggle distributes it (CSV): a file name and integers in each row.

The fast path parses with pandas. Whatever it cannot vouch for is read again line by line, which is slow and names the
line that is wrong.
"""

import csv
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from upath import UPath

from lmle_core.artefact import bytes_digest
from lmle_core.celeba.layout import DataError

UNUSUAL = '"\r\0\x0b\x0c\x1c\x1d\x1e\x85\xa0\u2028\u2029'
"""Quotes, and characters that one parser takes for white space and another does not."""


@dataclass(frozen=True)
class Table:
    """A parsed table.

    Attributes:
        path: the file.
        columns: names of the value columns, K of them.
        filenames: one for each row, N of them, unique.
        values: shape (N, K), int64.
        lines: line number of each row, shape (N,).
        digest: of the bytes that were parsed.
    """

    path: Path | UPath
    columns: tuple[str, ...]
    filenames: tuple[str, ...]
    values: np.ndarray
    lines: np.ndarray
    digest: str = ""


@dataclass(frozen=True)
class Head:
    """What stands above the rows: column names, the number of lines, and the number of rows where it is stated."""

    columns: tuple[str, ...]
    lines: int
    count: int | None


def read_table(path: Path | UPath, columns: Sequence[str] | None = None) -> Table:
    """Parse a table.

    Args:
        path: `.csv`: a header line `image_id,NAME,...`, then rows with commas. Anything else: rows with blanks, below
            a line with the number of rows and a line with the column names, unless `columns` is given.
        columns: names of the value columns of a text table that has no head (partition, identity).

    Raises:
        DataError: with file, line, what was expected and what was found.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected text in UTF-8, found byte {error.object[error.start]:#04x}") from None
    if not text.strip():
        raise DataError(f"{path}: the file is empty; expected one row for each image")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    head = read_head(path, text, columns)
    parsed = parse_fast(path, text, head)
    return replace(parsed if parsed is not None else parse_slowly(path, text, head), digest=bytes_digest(content))


def read_head(path: Path | UPath, text: str, columns: Sequence[str] | None) -> Head:
    """The head of a table's text (line ends are newlines). Raises DataError."""
    lines = [*text.split("\n", 2)[:2], ""]
    if path.suffix == ".csv":
        names = _cells(path, 1, lines[0])
        if len(names) < 2 or not names[0] or _is_integer(names[-1]):
            raise DataError(f"{path} line 1: expected a header 'image_id,NAME,...', found {_short(lines[0])}")
        return _unique_columns(path, 1, Head(tuple(names[1:]), 1, None))
    if columns is not None:
        return Head(tuple(columns), 0, None)
    if not _is_integer(lines[0]):
        raise DataError(f"{path} line 1: expected the number of images, found {_short(lines[0])}")
    names = lines[1].split()
    if not names or all(_is_integer(name) for name in names[1:] or names):
        raise DataError(f"{path} line 2: expected the names of the columns, found {_short(lines[1])}")
    return _unique_columns(path, 2, Head(tuple(names), 2, int(lines[0])))


def _unique_columns(path: Path | UPath, line: int, head: Head) -> Head:
    seen: set[str] = set()
    for name in head.columns:
        if not name or name in seen:
            raise DataError(f"{path} line {line}: expected different column names, found {name!r} twice or empty")
        seen.add(name)
    return head


def parse_fast(path: Path | UPath, text: str, head: Head) -> Table | None:
    """The table, or None where anything is out of the ordinary and a slow look is due."""
    import pandas as pd

    body = text.split("\n", head.lines)[-1] if text.count("\n") >= head.lines else ""
    if any(character in body for character in UNUSUAL):
        return None
    width = len(head.columns)
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            frame = pd.read_csv(
                io.StringIO(body),
                sep="," if path.suffix == ".csv" else r"\s+",
                header=None,
                names=list(range(width + 2)),  # one too many, so that a surplus value shows
                dtype={0: object, width + 1: object},  # the others are inferred: asked for integers, 1.0 becomes 1
                low_memory=False,
                keep_default_na=False,
                na_values=[""],
                index_col=False,
                quoting=csv.QUOTE_NONE,
                engine="c",
            )
    except (ValueError, OverflowError, pd.errors.ParserWarning):
        return None
    rows = len(frame)
    filenames = tuple(frame[0])
    regular = (
        body.rstrip(" \t\n").count("\n") + 1 == rows  # no blank lines: row numbers tell line numbers
        and (path.suffix != ".csv" or body.count(",") == rows * width)  # a comma too many makes no value
        and head.count in (None, rows)
        and frame[width + 1].isna().all()
        and frame[0].notna().all()
        and all(frame[column].dtype == np.int64 for column in range(1, width + 1))
        and len(set(filenames)) == rows
        and not any(name[0].isspace() or name[-1].isspace() for name in filenames)
    )
    if not regular:
        return None
    values = frame.iloc[:, 1 : width + 1].to_numpy(np.int64)
    return Table(path, head.columns, filenames, values, np.arange(rows) + head.lines + 1)


def parse_slowly(path: Path | UPath, text: str, head: Head) -> Table:
    """The oracle of the fast path, line by line. Raises DataError at the first line that is wrong."""
    separated = path.suffix == ".csv"
    width = len(head.columns)
    rows: dict[str, tuple[int, list[int]]] = {}
    for number, line in enumerate(text.split("\n")[head.lines :], head.lines + 1):
        stripped = line.strip(" \t")
        if not stripped:
            continue
        found = _cells(path, number, stripped) if separated else re.split("[ \t]+", stripped)
        where = f"{path} line {number}"
        if len(found) != width + 1:
            blanks = head.lines and not separated and len(found) <= width
            raise DataError(
                f"{where}: expected {width + 1} columns, a file name and {width} value{'s' * (width != 1)}, found "
                f"{len(found)}: {_short(stripped)}{'; names with a blank in them need a .csv file' * bool(blanks)}"
            )
        filename, *cells = found
        if not filename:
            raise DataError(f"{where}: expected a file name in the first column, found none: {_short(stripped)}")
        for name, cell in zip(head.columns, cells, strict=True):
            if not _is_integer(cell):
                raise DataError(f"{where}: expected an integer for {name} of {filename}, found {cell!r}")
        if filename in rows:
            raise DataError(
                f"{where}: expected each file name once, found {filename} again (first in line {rows[filename][0]})"
            )
        rows[filename] = (number, [int(cell) for cell in cells])
    if head.count is not None and head.count != len(rows):
        raise DataError(f"{path} line 1: expected the number of rows that follow, {len(rows)}, found {head.count}")
    values = np.array([cells for _, cells in rows.values()], np.int64).reshape(len(rows), width)
    lines = np.array([number for number, _ in rows.values()], np.int64)
    return Table(path, head.columns, tuple(rows), values, lines)


def _cells(path: Path | UPath, number: int, line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line]), [""])]
    except csv.Error as error:
        raise DataError(f"{path} line {number}: expected values with commas between: {error}") from None


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip(" \t")) is not None


def _short(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else text[:most] + "...")
