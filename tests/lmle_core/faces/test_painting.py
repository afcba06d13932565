from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.faces.anatomy import Anatomy, Pose, bounding_box, landmarks
from lmle_core.faces.painting import paint
from lmle_core.faces.person import person
from lmle_core.faces.population import draw_population
from lmle_core.faces.sheet import attribute_sheet, with_attribute
from lmle_core.faces.streams import painter

POPULATION = draw_population(11, range(600))


def painted(row: int, **attributes: bool) -> NDArray[np.int16]:
    """Image `row` with some attributes set or removed, nothing in the way and not blurred."""
    labels = POPULATION.labels.copy()
    for name, present in {"Blurry": False, "Wearing_Hat": False, **attributes}.items():
        labels[row] = with_attribute(labels[row], name, present)
    face = person(replace(POPULATION, labels=labels), row)
    return paint(face, painter(11, row), obstacle=False).astype(np.int16)


def rows_with(*names: str, count: int) -> list[int]:
    columns = [ATTRIBUTES.index(name) for name in names]
    return np.flatnonzero(POPULATION.labels[:, columns].all(1))[::7][:count].tolist()


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_each_attribute_changes_what_is_seen(name: str) -> None:
    rows = rows_with("Goatee" if name == "No_Beard" else name, count=3)
    assert rows
    for row in rows:
        difference = np.abs(painted(row, **{name: True}) - painted(row, **{name: False})).max(2)
        assert (difference > 12).sum() > 25, f"{name}, image {row}: {(difference > 12).sum()} pixels differ"


@pytest.mark.parametrize("row", range(0, 200, 23))
def test_the_mouths_landmarks_are_where_lipstick_goes(row: int) -> None:
    change = np.abs(painted(row, Wearing_Lipstick=True) - painted(row, Wearing_Lipstick=False)).max(2)
    y, x = np.nonzero(change > 10)
    face = person(POPULATION, row)
    left, right = landmarks(Anatomy.of(face), Pose.of(face)).reshape(5, 2)[3:]
    assert abs(x.min() - left[0]) <= 4
    assert abs(x.max() - right[0]) <= 4
    assert np.hypot(*(np.array([x.mean(), y.mean()]) - (left + right) / 2)) < 8


@pytest.mark.parametrize("row", range(0, 200, 23))
def test_the_eyes_landmarks_are_in_the_middle_of_the_glasses(row: int) -> None:
    change = np.abs(painted(row, Eyeglasses=True, Bangs=False) - painted(row, Eyeglasses=False, Bangs=False)).max(2)
    face = person(POPULATION, row)
    left, right = landmarks(Anatomy.of(face), Pose.of(face)).reshape(5, 2)[:2]
    middle = (left + right) / 2
    across = (right - left) / np.linalg.norm(right - left)
    y, x = np.nonzero(change > 8)
    along = (x - middle[0]) * across[0] + (y - middle[1]) * across[1]
    for side, eye in ((along < 0, left), (along > 0, right)):
        assert np.hypot(x[side].mean() - eye[0], y[side].mean() - eye[1]) < 7


def test_landmarks_lie_in_the_head_and_in_celebas_order() -> None:
    for row in range(0, 600, 5):
        face = person(POPULATION, row)
        points = landmarks(Anatomy.of(face), Pose.of(face)).reshape(5, 2)
        left, top, width, height = bounding_box(Anatomy.of(face), Pose.of(face))
        assert ((points >= (left, top)) & (points < (left + width, top + height))).all()
        assert 0 <= left < left + width <= 178
        assert 0 <= top < top + height <= 218
        left_eye, right_eye, nose, left_mouth, right_mouth = points
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < max(left_mouth[1], right_mouth[1])


def test_the_same_person_and_generator_give_the_same_pixels_and_another_seed_others() -> None:
    face = person(POPULATION, 3)
    first = paint(face, painter(0, 3))
    assert first.shape == (218, 178, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, paint(face, painter(0, 3)))
    assert not np.array_equal(first, paint(face, painter(1, 3)))


def test_the_contact_sheet_has_a_pair_for_each_attribute() -> None:
    sheet = attribute_sheet(0, ("Smiling", "Bald", "Eyeglasses"), columns=2, scale=0.5)
    one = attribute_sheet(0, ("Smiling",), columns=1, scale=0.5)
    assert sheet.shape == (2 * one.shape[0], 2 * one.shape[1], 3)
    assert np.array_equal(sheet[: one.shape[0], : one.shape[1]], one)
