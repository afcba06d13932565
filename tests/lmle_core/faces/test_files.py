import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.faces import draw_attributes, mislabel, partition, render, write_annotations, write_faces, write_images

IMAGES, SEED, NOISE = 60, 5, 0.2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faces")
    write_faces(root / "celeba", IMAGES, SEED, NOISE)
    return root


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("split", ["train", "valid", "test", "all"])
def test_torchvision_reads_the_folder_and_finds_the_same_annotations(
    root: Path, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)  # its checksums are the real files'
    data = datasets.CelebA(str(root), split, target_type=["attr", "identity", "bbox", "landmarks"], download=False)
    codes = {"train": [0], "valid": [1], "test": [2], "all": [0, 1, 2]}[split]
    expected = np.flatnonzero(np.isin(partition(IMAGES), codes))
    noisy = mislabel(draw_attributes(SEED, range(IMAGES)), SEED, range(IMAGES), NOISE)
    assert [name for name in data.attr_names if name] == list(ATTRIBUTES)
    assert len(data) == len(expected) > 0
    columns = {
        name: np.loadtxt(root / "celeba" / name, skiprows=2, usecols=range(1, width + 1), dtype=int)
        for name, width in (("list_bbox_celeba.txt", 4), ("list_landmarks_align_celeba.txt", 10))
    }
    for place, i in enumerate(expected):
        image, (attributes, identity, box, points) = data[place]
        assert image.size == (178, 218)
        assert attributes.tolist() == noisy[i].tolist()
        assert int(identity) == i // 20 + 1
        assert box.tolist() == columns["list_bbox_celeba.txt"][i].tolist()
        assert points.tolist() == columns["list_landmarks_align_celeba.txt"][i].tolist()


def test_the_attribute_files_read_as_celebas_do(root: Path) -> None:
    clean = draw_attributes(SEED, range(IMAGES))
    for name, labels in (
        ("list_attr_clean_celeba.txt", clean),
        ("list_attr_celeba.txt", mislabel(clean, SEED, range(IMAGES), NOISE)),
    ):
        lines = (root / "celeba" / name).read_text().splitlines()
        assert int(lines[0]) == IMAGES
        assert tuple(lines[1].split()) == ATTRIBUTES
        assert [line.split()[0] for line in lines[2:]] == [f"{i + 1:06d}.jpg" for i in range(IMAGES)]
        assert [[int(value) for value in line.split()[1:]] for line in lines[2:]] == (2 * labels - 1).tolist()


def test_any_order_and_any_blocks_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for block in (range(45, 60), range(0, 7), range(7, 45)):
        write_images(tmp_path, block, SEED)
    write_annotations(tmp_path, IMAGES, SEED, NOISE)
    assert digests(tmp_path / "img_align_celeba") == digests(root / "celeba" / "img_align_celeba")
    texts = {path.name: path.read_text() for path in tmp_path.glob("*.txt")}
    assert len(texts) == 6
    assert texts == {path.name: path.read_text() for path in (root / "celeba").glob("*.txt")}


def test_the_files_hold_what_render_shows(root: Path) -> None:
    for i in (0, 33):
        jpeg = (root / "celeba" / "img_align_celeba" / f"{i + 1:06d}.jpg").read_bytes()
        pixels = simplejpeg.decode_jpeg(jpeg, "RGB").astype(np.float32)
        rendered = render(SEED, i).astype(np.float32)
        difference = cv2.GaussianBlur(pixels, (0, 0), 3) - cv2.GaussianBlur(rendered, (0, 0), 3)
        assert np.abs(difference).mean() < 2.5


def test_image_and_label_do_not_depend_on_the_size_of_the_data_set(root: Path, tmp_path: Path) -> None:
    write_faces(tmp_path, 25, SEED, NOISE)
    larger = digests(root / "celeba" / "img_align_celeba")
    assert digests(tmp_path / "img_align_celeba").items() <= larger.items()
    short = (tmp_path / "list_attr_celeba.txt").read_text().splitlines()[2:]
    assert short == (root / "celeba" / "list_attr_celeba.txt").read_text().splitlines()[2:27]


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    done: list[int] = []
    write_faces(tmp_path, 3, 0, 0.0, done.append)
    assert done[-1] == 3


@given(images=st.integers(1, 3000))
def test_splits_are_whole_identities_at_eight_to_one_to_one(images: int) -> None:
    split = partition(images)
    assert (np.diff(split) >= 0).all()
    assert all(len(set(split[k : k + 20].tolist())) == 1 for k in range(0, images, 20))
    if images > 40:
        assert set(split.tolist()) == {0, 1, 2}
    people = -(-images // 20)
    if people >= 5:
        assert abs((split[::20] == 0).sum() - 0.8 * people) <= 1
        assert abs((split[::20] == 2).sum() - 0.1 * people) <= 0.5


@given(images=st.integers(1, 3000), valid=st.floats(0.01, 0.48), test=st.floats(0.01, 0.48))
def test_splits_of_other_shares_are_whole_identities_too(images: int, valid: float, test: float) -> None:
    split = partition(images, (valid, test))
    assert (np.diff(split) >= 0).all()
    assert all(len(set(split[k : k + 20].tolist())) == 1 for k in range(0, images, 20))
    people = -(-images // 20)
    for code, share in ((1, valid), (2, test)):
        held = int((split[::20] == code).sum())
        assert held == (0 if people <= 2 else max(1, round(share * people)))
    assert np.array_equal(partition(images, (0.1, 0.1)), partition(images))


def test_the_partition_file_has_the_shares_that_were_asked_for(tmp_path: Path) -> None:
    write_annotations(tmp_path, 200, SEED, NOISE, (0.2, 0.3))
    lines = (tmp_path / "list_eval_partition.txt").read_text().splitlines()
    codes = [int(line.split()[1]) for line in lines]
    assert [codes.count(code) for code in (0, 1, 2)] == [100, 40, 60]


@pytest.mark.parametrize(("images", "noise"), [(0, 0.1), (5, 0.6)])
def test_impossible_data_sets_are_refused_before_anything_is_written(tmp_path: Path, images: int, noise: float) -> None:
    with pytest.raises(ValueError, match=r"images|label_noise"):
        write_faces(tmp_path / "new", images, 0, noise)
    assert not (tmp_path / "new").exists()
