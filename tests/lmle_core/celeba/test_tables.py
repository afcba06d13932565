"""A table's fast parser agrees with the line-by-line one, and every wrong line is named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.celeba.layout import DataError
from lmle_core.celeba.tables import Table, parse_fast, parse_slowly, read_head, read_table
from tests.lmle_core.celeba.small import csv_table, text_table

RIGHT = "3\nMale Young \na.jpg -1  1\nb.jpg  1  1\nc.jpg -1 -1\n"
RIGHT_CSV = "image_id,Male,Young\na.jpg,-1,1\nb.jpg,1,1\nc.jpg,-1,-1\n"


def same(one: Table, other: Table) -> bool:
    return (
        one.columns == other.columns
        and one.filenames == other.filenames
        and np.array_equal(one.values, other.values)
        and np.array_equal(one.lines, other.lines)
    )


@settings(max_examples=50)
@given(
    rows=st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_./-]{1,12}", fullmatch=True), st.lists(st.integers(-9, 999), min_size=3, max_size=3)
    ).filter(bool)
)
def test_what_is_written_is_read_from_text_and_csv_alike(
    rows: dict[str, list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("table")
    columns = ["first", "second", "third"]
    text_table(directory / "t.txt", rows, columns)
    csv_table(directory / "t.csv", rows, columns)
    for name in ("t.txt", "t.csv"):
        table = read_table(directory / name)
        assert table.columns == tuple(columns)
        assert table.filenames == tuple(rows)
        assert table.values.tolist() == list(rows.values())


@settings(max_examples=300)
@given(
    name=st.sampled_from(["t.txt", "t.csv"]),
    position=st.integers(0, len(RIGHT)),
    removed=st.integers(0, 3),
    inserted=st.text(st.sampled_from('1-+ ,.\n\r\t"a0#_e\0\xa0\u2028NA'), max_size=4),
)
def test_the_fast_parser_vouches_only_for_what_the_slow_one_reads_alike(
    name: str, position: int, removed: int, inserted: str
) -> None:
    right = RIGHT if name == "t.txt" else RIGHT_CSV
    text = (right[:position] + inserted + right[position + removed :]).replace("\r", "\n")
    path = Path(name)
    try:
        head = read_head(path, text, None)
    except DataError:
        return
    fast = parse_fast(path, text, head)
    if fast is not None:
        assert same(fast, parse_slowly(path, text, head))


@pytest.mark.parametrize(("name", "text"), [("t.txt", RIGHT), ("t.csv", RIGHT_CSV)])
def test_ordinary_tables_take_the_fast_path(name: str, text: str) -> None:
    path = Path(name)
    assert parse_fast(path, text, read_head(path, text, None)) is not None


@pytest.mark.parametrize(
    "change",
    [lambda t: t.replace("\n", "\r\n"), lambda t: t.replace("\n", "\r"), lambda t: "\ufeff" + t, lambda t: t + "\n\n"],
)
def test_line_ends_marks_and_blank_lines_do_not_matter(change: object, tmp_path: Path) -> None:
    assert callable(change)
    for name, text in (("t.txt", RIGHT), ("t.csv", RIGHT_CSV)):
        (tmp_path / name).write_bytes(change(text).encode())
        assert read_table(tmp_path / name).values.tolist() == [[-1, 1], [1, 1], [-1, -1]]


def test_quoted_csv_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"image_id","Male"\n"a.jpg","1"\n"b.jpg",-1\n')
    table = read_table(tmp_path / "t.csv")
    assert table.filenames == ("a.jpg", "b.jpg")
    assert table.values.tolist() == [[1], [-1]]


WRONG = [
    ("t.txt", "", ["the file is empty", "one row for each image"]),
    ("t.txt", "\n \n", ["the file is empty"]),
    ("t.txt", "Male Young\na.jpg 1 1\n", ["line 1", "expected the number of images", "'Male Young'"]),
    ("t.txt", "1\na.jpg 1 1\n", ["line 2", "expected the names of the columns", "a.jpg"]),
    ("t.txt", "1\nMale Male\na.jpg 1 1\n", ["line 2", "different column names", "'Male'"]),
    ("t.txt", RIGHT.replace("3", "4", 1), ["line 1", "expected the number of rows that follow, 3, found 4"]),
    ("t.txt", RIGHT.replace("b.jpg  1", "b.jpg  1 1"), ["line 4", "expected 3 columns", "found 4", "b.jpg"]),
    ("t.txt", RIGHT.replace("b.jpg  1", "b.jpg "), ["line 4", "expected 3 columns", "found 2"]),
    ("t.txt", RIGHT.replace("Male", "Fe Male"), ["line 3", "names with a blank in them need a .csv file"]),
    ("t.txt", RIGHT.replace("b.jpg  1", "b.jpg  x"), ["line 4", "expected an integer for Male of b.jpg", "'x'"]),
    ("t.txt", RIGHT.replace("b.jpg  1", "b.jpg  1.0"), ["line 4", "expected an integer", "'1.0'"]),
    ("t.txt", RIGHT.replace("c.jpg", "a.jpg"), ["line 5", "each file name once", "a.jpg again", "line 3"]),
    ("t.txt", RIGHT.replace("b.jpg", "\nb.jpg").replace("c.jpg", "a.jpg"), ["line 6", "line 3"]),
    ("t.csv", "a.jpg,1,1\n", ["line 1", "expected a header 'image_id,NAME,...'"]),
    ("t.csv", "\nimage_id,Male\n", ["line 1", "expected a header"]),
    ("t.csv", RIGHT_CSV.replace("b.jpg,1", "b.jpg"), ["line 3", "expected 3 columns", "found 2"]),
    ("t.csv", RIGHT_CSV.replace("b.jpg,1", "b.jpg,,1"), ["line 3", "expected 3 columns", "found 4"]),
    ("t.csv", RIGHT_CSV.replace("b.jpg,1,1", "b.jpg,,1"), ["line 3", "expected an integer for Male", "''"]),
    ("t.csv", RIGHT_CSV.replace("b.jpg", ""), ["line 3", "expected a file name"]),
    ("t.csv", RIGHT_CSV.replace("c.jpg", "b.jpg"), ["line 4", "each file name once", "line 3"]),
]


@pytest.mark.parametrize(("name", "text", "parts"), WRONG)
def test_a_wrong_line_is_named(name: str, text: str, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_table(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_table_without_head_has_its_rows_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "list_eval_partition.txt"
    path.write_text("a.jpg 0\nb.jpg\n")
    with pytest.raises(DataError, match=r"line 2: expected 2 columns, a file name and 1 value, found 1: 'b.jpg'"):
        read_table(path, ("partition",))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"1\nMale\n\xff.jpg 1\n")
    with pytest.raises(DataError, match="UTF-8, found byte 0xff"):
        read_table(tmp_path / "t.txt")
