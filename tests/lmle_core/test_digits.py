"""Digits: no digit or piece of photograph in two splits, draws that follow from the seed, and a store that has them."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_sample_images

from lmle_core.config import Data
from lmle_core.digit_store import make_digits, write_digits
from lmle_core.digits import (
    CLASSES,
    SIDE,
    DigitImages,
    Scene,
    digit_sheet,
    draw_digits,
    kept_sources,
    photograph_strips,
    source_split,
)
from lmle_core.prior import class_count
from lmle_core.store import TEST, TRAIN, VALID, ImageStore

DIGITS = load_digits()
FEW = Scene(views=(2, 1, 1))
ONE = Scene(views=(1, 1, 1))
PLAIN = replace(ONE, clutter=0.0, ink=(100.0, 100.0), height=(20.0, 20.0), shift=0.0)


@pytest.fixture(scope="module")
def whole() -> DigitImages:
    return draw_digits(3, 0.0, FEW)


@pytest.fixture(scope="module")
def reduced() -> DigitImages:
    return draw_digits(3, 0.9, FEW)


def by_name(digits: DigitImages) -> dict[str, bytes]:
    return {name: image.tobytes() for name, image in zip(digits.names, digits.images, strict=True)}


def test_each_class_of_source_digits_is_split_at_60_15_and_25_percent() -> None:
    split, classes = source_split(), DIGITS.target
    for label in range(CLASSES):
        shares = np.bincount(split[classes == label], minlength=3) / (classes == label).sum()
        assert np.abs(shares - (0.6, 0.15, 0.25)).max() < 0.006


def test_no_source_digit_is_in_two_splits_and_another_seed_splits_alike(whole: DigitImages) -> None:
    other = draw_digits(4, 0.9, ONE)
    sources = [
        {split: set(digits.sources[digits.split == split].tolist()) for split in (TRAIN, VALID, TEST)}
        for digits in (whole, other)
    ]
    for one, another in combinations((TRAIN, VALID, TEST), 2):
        assert not (sources[0][one] | sources[1][one]) & (sources[0][another] | sources[1][another])
    assert sources[0][TEST] == sources[1][TEST]
    assert sources[0][VALID] == sources[1][VALID]


def test_every_source_digit_has_its_label_its_views_and_its_name(whole: DigitImages) -> None:
    assert whole.labels[:, 0].tolist() == DIGITS.target[whole.sources].tolist()
    sources, views = np.unique(whole.sources, return_counts=True)
    assert sources.tolist() == list(range(1797))
    assert views.tolist() == [FEW.views[split] for split in source_split()]
    assert whole.names[:3] == tuple(f"0000-{v}.png" for v in range(views[0])) + whole.names[views[0] : 3]
    assert len(set(whole.names)) == len(whole.images) == len(set(by_name(whole).values()))


def test_strips_of_the_splits_are_disjoint_and_make_up_the_photographs() -> None:
    photographs = load_sample_images().images
    seen = [np.zeros(photograph.shape, int) for photograph in photographs]
    for split in (TRAIN, VALID, TEST):
        for strip in photograph_strips(split):
            places = [
                (number, left)
                for number, photograph in enumerate(photographs)
                for left in range(photograph.shape[1] - strip.shape[1] + 1)
                if np.array_equal(photograph[:, left : left + strip.shape[1]], strip)
            ]
            assert len(places) == 1
            number, left = places[0]
            seen[number][:, left : left + strip.shape[1]] += 1
    assert all((count == 1).all() for count in seen)


@pytest.mark.parametrize("split", [TRAIN, VALID, TEST])
def test_a_background_is_a_window_of_its_own_splits_strips(split: int) -> None:
    scene = replace(ONE, ink=(0.0, 0.0), height=(0.01, 0.01), clutter=15.0)  # no digit to be seen
    digits = draw_digits(0, 0.0, scene)
    for image in digits.images[digits.split == split][:4]:
        window = image.transpose(1, 2, 0)
        likeness = [
            max(
                cv2.matchTemplate(np.ascontiguousarray(strip), np.ascontiguousarray(turned), cv2.TM_CCOEFF_NORMED).max()
                for strip in photograph_strips(other)
                for turned in (window, window[:, ::-1])
            )
            for other in (TRAIN, VALID, TEST)
        ]
        assert int(np.argmax(likeness)) == split
        assert max(likeness) > 0.97  # a flat window is rounded


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(whole: DigitImages) -> None:
    again, other = draw_digits(3, 0.0, FEW), draw_digits(4, 0.9, ONE)
    assert again.images.tobytes() == whole.images.tobytes()
    assert (again.names, again.reduced) == (whole.names, whole.reduced)
    before = by_name(whole)
    assert not any(before[name] == image for name, image in by_name(other).items())


def test_seeds_draw_which_five_classes_are_reduced() -> None:
    drawn = [kept_sources(seed, 0.99)[1] for seed in range(300)]
    assert all(len(set(classes)) == 5 for classes in drawn)
    times = np.bincount(np.concatenate(drawn), minlength=CLASSES)
    assert np.abs(times - 150).max() < 45  # five standard deviations


def test_views_of_the_digits_that_are_kept_do_not_depend_on_what_is_removed(
    whole: DigitImages, reduced: DigitImages
) -> None:
    assert by_name(reduced).items() < by_name(whole).items()
    assert whole.reduced == reduced.reduced
    for digits, removed in ((whole, 0.0), (reduced, 0.9)):
        kept, classes = kept_sources(3, removed)
        assert np.unique(digits.sources).tolist() == np.flatnonzero(kept).tolist()
        assert digits.reduced == classes


def test_more_views_of_a_digit_leave_the_others_as_they_are(reduced: DigitImages) -> None:
    more = draw_digits(3, 0.9, replace(FEW, views=(3, 2, 1)))
    assert by_name(reduced).items() < by_name(more).items()


@given(seed=st.integers(0, 2**31 - 1), shares=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
def test_a_share_of_the_reduced_classes_training_digits_is_removed_and_nothing_else(
    seed: int, shares: tuple[float, float]
) -> None:
    classes, split = DIGITS.target, source_split()
    (fewer, reduced), (more, again) = (kept_sources(seed, share) for share in sorted(shares, reverse=True))
    assert reduced == again
    assert not (fewer & ~more).any()
    for kept, share in ((fewer, max(shares)), (more, min(shares))):
        assert kept[split != TRAIN].all()
        for label in range(CLASSES):
            training = (classes == label) & (split == TRAIN)
            left = kept[training].sum()
            if label in reduced:
                assert left >= 2
                assert left == 2 or abs(left - (1 - share) * training.sum()) <= 0.5
            else:
                assert left == training.sum()


@pytest.mark.parametrize(
    ("removed", "scene", "message"),
    [(1.0, ONE, "removed: .*got 1.0"), (-0.1, ONE, "removed"), (0.5, Scene(views=(6, 0, 4)), r"scene\.views")],
)
def test_impossible_data_sets_are_refused(removed: float, scene: Scene, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_digits(0, removed, scene)


def test_a_view_holds_its_source_digit_turned_by_some_angle() -> None:
    """The peer: the 8×8 digit, enlarged by plain interpolation and turned to every angle, finds itself in the view."""
    digits = draw_digits(1, 0.0, PLAIN)
    originals, angles = DIGITS.images.astype(np.float32), []
    for row in range(0, len(digits.images), 90):
        view = digits.images[row].mean(0)
        assert digits.images[row].std(0).max() < 1  # grey ink over a plain background
        enlarged = cv2.resize(originals[digits.sources[row]], (20, 20), interpolation=cv2.INTER_LINEAR)
        padded = cv2.copyMakeBorder(enlarged, 4, 4, 4, 4, cv2.BORDER_CONSTANT)
        likeness = []
        for angle in range(0, 360, 5):
            turned = cv2.warpAffine(padded, cv2.getRotationMatrix2D((13.5, 13.5), angle, 1), (SIDE, SIDE))
            likeness.append(np.corrcoef(view.ravel(), turned.ravel())[0, 1])
        assert max(likeness) > 0.85
        angles.append(5 * int(np.argmax(likeness)))
    assert {angle // 90 for angle in angles} == {0, 1, 2, 3}


def test_backgrounds_keep_their_contrast_bounded_and_digits_are_brighter() -> None:
    scene = replace(ONE, height=(0.01, 0.01), level=(100.0, 100.0), clutter=25.0)
    spread = draw_digits(2, 0.0, scene).images.std(axis=(1, 2, 3))
    assert spread.max() < 25.5
    assert np.quantile(spread, 0.5) > 20  # most windows reach the bound
    loud = draw_digits(2, 0.0, replace(scene, height=(20.0, 20.0), ink=(60.0, 60.0), clutter=0.0))
    assert loud.images.min() >= 99
    assert set(loud.images.max(axis=(1, 2, 3)).tolist()) <= set(range(155, 161))


def test_a_store_holds_the_pixels_labels_and_splits_that_were_drawn(tmp_path: Path) -> None:
    make_digits(tmp_path / "store", 3, Data(height=SIDE, width=SIDE, removed=0.9))
    drawn = draw_digits(3, 0.9)
    store = ImageStore.open(tmp_path / "store")
    assert np.array_equal(store.block(0, store.n), drawn.images)
    assert np.array_equal(store.labels, drawn.labels)
    assert np.array_equal(store.split, drawn.split)
    assert store.identity is not None
    assert np.array_equal(store.identity, drawn.sources)
    assert tuple(store.filenames) == drawn.names
    assert store.attributes == ("digit",)
    assert class_count(store.labels) == CLASSES


def test_the_fingerprint_of_a_source_follows_its_labels(reduced: DigitImages, tmp_path: Path) -> None:
    few = replace(
        reduced,
        images=reduced.images[:5],
        labels=reduced.labels[:5],
        split=reduced.split[:5],
        sources=reduced.sources[:5],
        names=reduced.names[:5],
    )
    source = write_digits(tmp_path, few)
    before = source.fingerprint()
    assert source.fingerprint() == before
    line = (tmp_path / "digits.csv").read_text().splitlines()[1]
    assert line == f"{few.names[0]},{few.labels[0, 0]},{few.split[0]},{few.sources[0]}"
    assert replace(write_digits(tmp_path, few), stamps=source.stamps).fingerprint() == before
    other = write_digits(tmp_path, replace(few, labels=(few.labels + 1) % 10))
    assert replace(other, stamps=source.stamps).fingerprint() != before


def test_a_sheet_shows_one_class_a_row_and_leaves_white_where_digits_are_few() -> None:
    digits = draw_digits(0, 0.999, ONE)
    sheet = digit_sheet(digits, columns=3, scale=1)
    for label in range(CLASSES):
        for column in range(3):
            top, left = 2 + label * 30, 2 + column * 30
            tile = sheet[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)
            if column == 2 and label in digits.reduced:
                assert (tile == 255).all()
            else:
                shown = np.flatnonzero((digits.images == tile).all(axis=(1, 2, 3)))
                assert digits.labels[shown, 0].tolist() == [label]
                assert digits.split[shown].tolist() == [TRAIN]
