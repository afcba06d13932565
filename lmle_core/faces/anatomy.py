"""Anatomy: where a person's features lie, in face units, and where a pose puts them in the image.

Face units are pixels of an upright, frontal face at scale 1: the origin between nose and eyes, x to the image's right,
y down, pupils about 38 apart, the skull's top at −66, the chin at about 60. A pose is a scale, a turn in the image
plane, a shift, and a slight turn of the head to the side (yaw) and up (pitch), under which the features, which stand
out of the head's plane, move against its outline.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from lmle_core.celeba.facts import ALIGNED_SIZE
from lmle_core.faces.person import Person

HEIGHT, WIDTH = ALIGNED_SIZE

Points = NDArray[np.float64]
"""Points of shape (n, 2), x and y."""

_CENTRE = (89.0, 112.0)
_RELIEF = 34.0  # how far the middle of the face stands out of the outline's plane
_INVERSE_RADII = np.array([1 / 52, 1 / 85])  # of the ellipsoid that the front of the head is taken for
_NOSE = 13.0  # how far the tip of the nose stands out of the face


@dataclass(frozen=True)
class Anatomy:
    """A face's measures, in face units."""

    half_width: float
    jaw: float
    chin: float
    chin_width: float
    eye_x: float
    eye_y: float
    eye_half_width: float
    eye_opening: float
    eye_tilt: float
    nose_y: float
    nose_half_width: float
    nose_point: float
    mouth_y: float
    mouth_half_width: float
    mouth_opening: float
    lip: float
    smile: float
    skew: tuple[float, float]

    @classmethod
    def of(cls, person: Person) -> "Anatomy":
        """The measures of a person."""
        male = person.has("Male")
        oval, chubby = person.amount("Oval_Face"), person.amount("Chubby")
        plain = 1 - person.amount("Attractive")
        smile = person.amount("Smiling")
        lift = max(0.0, plain - 0.15)
        return cls(
            half_width=44 + person.look("width", -2.5, 2.5) + 8.5 * chubby - 4 * oval,
            jaw=0.8 + (0.04 if male else -0.03) + person.look("jaw", -0.03, 0.03) + 0.17 * chubby - 0.15 * oval,
            chin=57 + person.look("length", -2, 2) + (2 if male else -1) + 6.5 * oval - 1.5 * chubby,
            chin_width=0.45 + (0.06 if male else 0) + person.look("chin", -0.05, 0.05) - 0.16 * oval + 0.14 * chubby,
            eye_x=19 + person.look("eye_gap", -1.3, 1.3),
            eye_y=-6.0,
            eye_half_width=8.6 + person.look("eye_size", -0.7, 0.7),
            eye_opening=(5.0 + person.look("eye_size", -0.5, 0.5)) * (1 - 0.74 * person.amount("Narrow_Eyes")),
            eye_tilt=person.look("eye_tilt", -0.08, 0.08),
            nose_y=22 + person.look("nose_length", -2, 2) + 3 * person.amount("Pointy_Nose"),
            nose_half_width=8.0 + person.look("nose_width", -0.8, 0.8) + 8 * person.amount("Big_Nose")
            - 2.4 * person.amount("Pointy_Nose"),
            nose_point=person.amount("Pointy_Nose"),
            mouth_y=38 + person.look("nose_length", -1, 1),
            mouth_half_width=14 + person.look("mouth_width", -1.2, 1.2) + 6.5 * smile,
            mouth_opening=10 * max(0.0, person.amount("Mouth_Slightly_Open") - 0.12),
            lip=2.3 + person.look("lips", -0.3, 0.3) + 4.4 * person.amount("Big_Lips"),
            smile=8.5 * smile - 1.8,
            skew=(_away(person.look("asymmetry_a"), 5) * lift, _away(person.look("asymmetry_b"), 5.5) * lift),
        )  # fmt: skip

    def features(self) -> Points:
        """CelebA's five landmarks in its order, (5, 2): the image's left eye, right eye, nose, mouth corners."""
        tilt, drop = self.skew
        return np.array(
            [
                [-self.eye_x, self.eye_y + tilt / 2],
                [self.eye_x, self.eye_y - tilt / 2],
                [0, self.nose_y - 3],
                [-self.mouth_half_width, self.mouth_y - self.smile + drop / 2],
                [self.mouth_half_width, self.mouth_y - self.smile - drop / 2],
            ]
        )

    @cached_property
    def outline(self) -> Points:
        """The head without hair and ears, closed and smooth."""
        w, j, c = self.half_width, self.jaw, self.chin
        corner = 0.42 * j + 0.58 * self.chin_width
        right = [
            (0.0, -66.0), (0.42 * w, -63.5), (0.78 * w, -50), (0.97 * w, -26), (w, -2), (0.97 * w, 16),
            (w * (j + 0.97) / 2 * 0.985, 28), (w * j, 38 + (c - 57) * 0.5), (w * corner, c - 9),
            (w * self.chin_width * 0.55, c - 1.5), (0.0, c),
        ]  # fmt: skip
        return smooth(np.array(right + [(-x, y) for x, y in right[-2:0:-1]]), closed=True)


def _away(value: float, most: float) -> float:
    """A value from [−1, 1] kept away from 0: half of `most` at least."""
    return most * (0.5 * value + (0.5 if value >= 0 else -0.5))


@dataclass(frozen=True)
class Pose:
    """How the image sees the face."""

    x: float
    y: float
    angle: float
    scale: float
    yaw: float
    pitch: float

    @classmethod
    def of(cls, person: Person) -> "Pose":
        """The pose of a person's image."""
        x, y, angle, scale, yaw, pitch = (float(value) for value in 2 * person.pose - 1)
        return cls(
            x=_CENTRE[0] + 8 * x,
            y=_CENTRE[1] + 7 * y,
            angle=0.22 * angle * abs(angle) ** 0.5,
            scale=0.98 + 0.1 * scale,
            yaw=0.42 * yaw,
            pitch=0.16 * pitch,
        )

    @cached_property
    def _turn(self) -> Points:
        """The turn in the image plane and the scale, as a matrix for row vectors."""
        cosine, sine = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        return np.array([[cosine, sine], [-sine, cosine]])

    @cached_property
    def _axes(self) -> tuple[Points, Points]:
        """What a turn of the head leaves of width and height, and how far depth moves a point."""
        return (
            np.array([math.cos(self.yaw), math.cos(self.pitch)]),
            np.array([math.sin(self.yaw), math.sin(self.pitch)]),
        )

    def place(self, points: Points, relief: float = 1.0, height: float = 0.0) -> Points:
        """Face units to image pixels.

        Args:
            points: (..., 2) in face units.
            relief: 1 on the front of the head, 0 in the plane of its outline (hair, ears, neck).
            height: how far the points stand out further, in face units.

        Returns:
            (..., 2) in pixels, whose centres have whole coordinates.
        """
        kept, moved = self._axes
        turned = points * kept
        if relief or height:
            away = points * _INVERSE_RADII
            depth = height + relief * _RELIEF * np.sqrt(np.maximum(1 - away[..., 0] ** 2 - away[..., 1] ** 2, 0))
            turned = turned + depth[..., None] * moved
        return turned @ self._turn + (self.x, self.y)


def landmarks(anatomy: Anatomy, pose: Pose) -> NDArray[np.int64]:
    """The ten numbers of CelebA's landmark file, in whole pixels: x and y of each of the five features."""
    points = anatomy.features()
    placed = pose.place(points)
    placed[2] = pose.place(points[2:3], height=_NOSE * 0.6)[0]
    return np.rint(placed).astype(np.int64).reshape(10)


def bounding_box(anatomy: Anatomy, pose: Pose) -> NDArray[np.int64]:
    """The head's box in whole pixels, inside the image: left, top, width, height."""
    placed = pose.place(anatomy.outline, relief=0)
    low = np.clip(np.floor(placed.min(0)), 0, (WIDTH - 1, HEIGHT - 1))
    high = np.clip(np.ceil(placed.max(0)), 0, (WIDTH - 1, HEIGHT - 1))
    return np.concatenate((low, high - low + 1)).astype(np.int64)


def smooth(points: Points, closed: bool = False, steps: int = 5) -> Points:
    """A Catmull-Rom curve through the points (n, 2), `steps` of it from each point to the next."""
    neighbours, weights = _spline(len(points), closed, steps)
    curve = (weights @ points[neighbours]).reshape(-1, 2)
    return curve if closed else np.concatenate((curve, points[-1:]))


@cache
def _spline(count: int, closed: bool, steps: int) -> tuple[NDArray[np.int64], Points]:
    """The four points that each segment depends on, and their weights at each step."""
    segments = count if closed else count - 1
    place = np.arange(segments)[:, None] + np.arange(-1, 3)
    t = (np.arange(steps) / steps)[:, None]
    cubic = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return place % count if closed else place.clip(0, count - 1), np.hstack((t**0, t, t**2, t**3)) @ cubic


def moved(points: Points, x: float, y: float) -> Points:
    """The points, shifted."""
    return points + np.array((x, y))


def ellipse(x: float, y: float, width: float, height: float, steps: int = 20) -> Points:
    """An ellipse by its centre and half axes."""
    return _circle(steps) * (width, height) + (x, y)


@cache
def _circle(steps: int) -> Points:
    angle = np.arange(steps) * (2 * math.pi / steps)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)
