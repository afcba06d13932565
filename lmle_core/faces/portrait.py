"""A portrait in the making: the canvas, the person before it, and the hand's own randomness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmle_core.faces.anatomy import Anatomy, Points, Pose
from lmle_core.faces.canvas import Canvas
from lmle_core.faces.person import Colour, Person


@dataclass(frozen=True)
class Portrait:
    """What every painter of a feature needs.

    Attributes:
        canvas: what is painted on.
        person: whom it shows.
        anatomy: the person's measures.
        pose: how the image sees them.
        rng: for strands, wrinkles, patterns: what neither identity nor attributes decide.
        skin: the skin's colour.
        hair: the hair's colour.
        grain: float32 of the canvas's shape, 0 to 1: a fine texture.
    """

    canvas: Canvas
    person: Person
    anatomy: Anatomy
    pose: Pose
    rng: np.random.Generator
    skin: Colour
    hair: Colour
    grain: NDArray[np.float32]

    def at(self, points: Points, relief: float = 1.0, height: float = 0.0) -> Points:
        """Face units to image pixels, (n, 2) or (k, n, 2), see `Pose.place`."""
        return self.pose.place(points, relief, height)

    def both(self, points: Points, relief: float = 1.0, height: float = 0.0, drop: float = 0.0) -> Points:
        """A shape of the image's right half and its mirror image, (2, n, 2), in pixels; `drop` lowers the right one."""
        return self.pose.place(points * _SIDES + (_DROP * drop), relief, height)

    def px(self, units: float) -> float:
        """A length in face units as pixels."""
        return units * self.pose.scale


_SIDES = np.array([[[1.0, 1.0]], [[-1.0, 1.0]]])
_DROP = np.array([[[0.0, 1.0]], [[0.0, -1.0]]])


def mirrored(points: Points, side: int) -> Points:
    """The points for the image's right (side 1) or left (side −1) half of the face."""
    return points * (side, 1)
