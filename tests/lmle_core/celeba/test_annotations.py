"""A data set's tables together: what they say, that they agree, and what is said where they do not."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.celeba.annotations import CelebA, read_celeba
from lmle_core.celeba.images import ImageReader, open_images
from lmle_core.celeba.layout import DataError
from tests.lmle_core.celeba.small import names, write_small, zip_images


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_small(tmp_path / "data", images=12, attributes=4)


def substitute(path: Path, pattern: str, replacement: str) -> None:
    text, found = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
    assert found == 1
    path.write_text(text)


def refusal(directory: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_celeba(directory)
    return str(caught.value)


def assert_same(one: CelebA, other: CelebA) -> None:
    assert one.filenames == other.filenames
    assert one.attributes == other.attributes
    for name in ("labels", "split", "identity", "landmarks", "clean_labels"):
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        assert np.array_equal(left, right), name


def test_labels_are_what_a_loop_over_the_file_reads(directory: Path) -> None:
    source = read_celeba(directory)
    lines = (directory / "list_attr_celeba.txt").read_text().splitlines()
    assert source.attributes == tuple(lines[1].split())
    assert source.filenames == tuple(names(12))
    for row, line in enumerate(lines[2:]):
        for column, value in enumerate(line.split()[1:]):
            assert source.labels[row, column] == {"-1": 0, "1": 1}[value]
    for row, line in enumerate((directory / "list_eval_partition.txt").read_text().splitlines()):
        assert source.split[row] == int(line.split()[1])
    assert source.labels.dtype == source.split.dtype == np.int8


def test_csv_says_the_same_as_text(directory: Path, tmp_path: Path) -> None:
    csv = write_small(tmp_path / "csv", images=12, attributes=4, csv=True)
    assert_same(read_celeba(directory), read_celeba(csv))


@pytest.mark.parametrize("prefix", ["img_align_celeba/", "img_align_celeba/img_align_celeba/", ""])
def test_a_zip_is_read_without_unpacking(directory: Path, tmp_path: Path, prefix: str) -> None:
    archived = tmp_path / "zip"
    shutil.copytree(directory, archived)
    zip_images(archived, prefix)
    one, other = read_celeba(directory), read_celeba(archived)
    assert_same(one, other)
    assert [one.reader.read(name) for name in one.filenames] == [other.reader.read(name) for name in other.filenames]


@pytest.mark.parametrize("annotations", ["celeba", "Anno", "celeba/Anno", ""])
@pytest.mark.parametrize("images", ["celeba", "Img", "img_align_celeba"])
def test_files_may_lie_in_the_usual_folders(directory: Path, tmp_path: Path, annotations: str, images: str) -> None:
    moved = tmp_path / "moved"
    (moved / annotations).mkdir(parents=True)
    (moved / "Eval").mkdir()
    for file in directory.glob("*.txt"):
        shutil.copy(file, moved / ("Eval" if "partition" in file.name else annotations) / file.name)
    shutil.copytree(directory / "img_align_celeba", moved / images / "img_align_celeba")
    assert_same(read_celeba(directory), read_celeba(moved))


def test_attributes_and_partition_suffice(directory: Path) -> None:
    for name in ("identity_CelebA", "list_landmarks_align_celeba", "list_attr_clean_celeba"):
        (directory / f"{name}.txt").unlink()
    source = read_celeba(directory)
    assert source.identity is None
    assert source.landmarks is None
    assert source.clean_labels is None


def test_zeros_and_ones_are_read_like_minus_one_and_one(directory: Path) -> None:
    before = read_celeba(directory).labels
    path = directory / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace("-1", " 0"))
    assert np.array_equal(read_celeba(directory).labels, before)


@settings(max_examples=20)
@given(order=st.permutations(range(12)))
def test_rows_may_come_in_any_order(order: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = write_small(tmp_path_factory.mktemp("order") / "data", images=12)
    before = read_celeba(directory)
    for name in ("list_eval_partition", "identity_CelebA"):
        path = directory / f"{name}.txt"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[row] for row in order))
    assert_same(before, read_celeba(directory))


def test_a_subset_selects_and_orders_columns(directory: Path) -> None:
    source = read_celeba(directory)
    subset = source.subset(["Attribute_3", "Attribute_1"])
    assert subset.attributes == ("Attribute_3", "Attribute_1")
    assert np.array_equal(subset.labels, source.labels[:, [3, 1]])
    assert subset.clean_labels is not None
    assert source.clean_labels is not None
    assert np.array_equal(subset.clean_labels, source.clean_labels[:, [3, 1]])
    with pytest.raises(DataError, match=r"unknown attribute 'Atribute_2'.*did you mean 'Attribute_"):
        source.subset(["Atribute_2"])
    with pytest.raises(DataError, match="'Attribute_1' is asked for twice"):
        source.subset(["Attribute_1", "Attribute_1"])


def test_the_fingerprint_follows_annotations_and_image_files(directory: Path) -> None:
    first = read_celeba(directory).fingerprint()
    assert read_celeba(directory).fingerprint() == first
    image = directory / "img_align_celeba" / names(12)[5]
    image.write_bytes(image.read_bytes() + b"\0")
    second = read_celeba(directory).fingerprint()
    substitute(directory / "list_eval_partition.txt", r"^000001.jpg  0", "000001.jpg  1")
    assert len({first, second, read_celeba(directory).fingerprint()}) == 3


def test_the_fingerprint_is_of_the_tables_that_were_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one is replaced while the images are listed."""
    before = read_celeba(directory)

    def replaced(place: Path) -> ImageReader:
        substitute(directory / "list_attr_celeba.txt", r"^000001.jpg .*", "000001.jpg  1  1  1  1")
        return open_images(place)

    with monkeypatch.context() as patch:
        patch.setattr("lmle_core.celeba.annotations.open_images", replaced)
        meanwhile = read_celeba(directory)
    after = read_celeba(directory)
    assert np.array_equal(before.labels, meanwhile.labels) and not np.array_equal(before.labels, after.labels)
    assert before.fingerprint() == meanwhile.fingerprint() != after.fingerprint()


def test_a_table_in_two_forms_is_refused(directory: Path) -> None:
    (directory / "Anno").mkdir()
    (directory / "Anno" / "list_eval_partition.csv").write_text("image_id,partition\n000001.jpg,1\n")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt and .*Anno/list_eval_partition\.csv say the same"):
        read_celeba(directory)


def test_a_folder_with_a_link_to_itself_is_listed_once(directory: Path) -> None:
    before = read_celeba(directory).fingerprint()
    (directory / "img_align_celeba" / "again").symlink_to(directory / "img_align_celeba")
    found = read_celeba(directory)
    assert found.fingerprint() == before
    assert set(found.reader.entries()) == set(names(12))


def test_the_fingerprint_of_a_zip_stays_when_it_is_moved(directory: Path, tmp_path: Path) -> None:
    zip_images(directory)
    shutil.copytree(directory, tmp_path / "moved")
    assert read_celeba(directory).fingerprint() == read_celeba(tmp_path / "moved").fingerprint()


WRONG = [
    ("list_attr_celeba", r"^(000003.jpg).(..)", r"\1  7", ["line 5", "expected -1 or 1", "Attribute_0 of 000003.jpg"]),
    ("list_eval_partition", r"^000004.jpg.*", "000004.jpg 3", ["line 4", "0 (train), 1 (valid) or 2", "found 3"]),
    ("list_eval_partition", r"^000004.jpg.*\n", "", ["list_attr_celeba.txt line 6", "1 (000004.jpg)", "partition"]),
    ("list_eval_partition", r"^000004.jpg", "x.jpg 1\n000004.jpg", ["line 4", "1 (x.jpg)", "list_attr_celeba.txt"]),
    ("identity_CelebA", r"^000004.jpg.*\n", "", ["line 6", "1 (000004.jpg)", "identity_CelebA.txt"]),
    ("identity_CelebA", r"^000002.jpg.*", "000002.jpg 9999999999", ["line 2", "a number from", "9999999999"]),
    ("list_landmarks_align_celeba", r"^000002.jpg +\d+", "000002.jpg 40000", ["line 4", "32767", "found 40000"]),
    ("list_landmarks_align_celeba", r"\n.*(\n.*)*", "\na b\n" + "\n".join(f"{n} 1 1" for n in names(12)), ["10 col"]),
    ("list_attr_clean_celeba", r"Attribute_1", "Other", ["line 2", "expected the attributes of", "same order"]),
    ("list_attr_celeba", r"^000003.jpg", "../3.jpg", ["line 5", "within the image folder", "'../3.jpg'"]),
    ("list_attr_celeba", r"^000003.jpg", "/3.jpg", ["line 5", "within the image folder", "'/3.jpg'"]),
]


@pytest.mark.parametrize(("stem", "pattern", "replacement", "parts"), WRONG)
def test_a_wrong_value_is_named(directory: Path, stem: str, pattern: str, replacement: str, parts: list[str]) -> None:
    substitute(directory / f"{stem}.txt", pattern, replacement)
    if stem == "list_landmarks_align_celeba" and parts == ["10 col"]:
        substitute(directory / f"{stem}.txt", r"\A.*", "12")
    message = refusal(directory)
    assert str(directory) in message
    for part in parts:
        assert part in message


def test_a_file_mixing_zeros_and_minus_ones_is_refused_with_both_lines(directory: Path) -> None:
    path = directory / "list_attr_celeba.txt"
    (directory / "list_attr_clean_celeba.txt").unlink()
    rows = "".join(f"{name} 1 {'0' if row == 7 else '-1'} 1 1\n" for row, name in enumerate(names(12)))
    path.write_text("12\nA B C D\n" + rows)
    message = refusal(directory)
    assert "line 10: expected -1 or 1 (a file uses -1 and 1, or 0 and 1; line 3 has -1) for B of 000008.jpg" in message
    assert message.endswith("found 0")


def test_missing_images_are_counted_and_named(directory: Path) -> None:
    for name in names(12)[2:9]:
        (directory / "img_align_celeba" / name).unlink()
    message = refusal(directory)
    assert "7 (000003.jpg, 000004.jpg, 000005.jpg, 000006.jpg, 000007.jpg, ...) of 12" in message
    assert "img_align_celeba" in message


def test_missing_files_are_said_with_the_places_looked_in(directory: Path, tmp_path: Path) -> None:
    shutil.rmtree(directory / "img_align_celeba")
    message = refusal(directory)
    assert "no folder img_align_celeba and no img_align_celeba.zip" in message
    (directory / "list_eval_partition.txt").unlink()
    message = refusal(directory)
    assert "no list_eval_partition.txt or list_eval_partition.csv" in message
    assert "the directory itself, Anno, Eval, Img, celeba" in message
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "is a file" in refusal(directory / "list_attr_celeba.txt")


def test_a_table_without_rows_is_refused(directory: Path) -> None:
    (directory / "list_attr_celeba.txt").write_text("0\nA B\n")
    assert "no images" in refusal(directory)


def test_a_damaged_archive_is_refused(directory: Path) -> None:
    zip_images(directory)
    archive = directory / "img_align_celeba.zip"
    archive.write_bytes(archive.read_bytes()[:-50])
    assert "expected a zip archive, found a damaged one" in refusal(directory)
