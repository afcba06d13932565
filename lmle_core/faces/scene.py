"""The nuisance: background, light, things in the way, and the camera. None of it depends on the attributes but blur."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lmle_core.faces.anatomy import HEIGHT, WIDTH, ellipse, moved
from lmle_core.faces.canvas import CANVAS_HEIGHT, CANVAS_WIDTH, Canvas
from lmle_core.faces.person import Colour, Person, shade
from lmle_core.faces.portrait import Portrait

_TILE = 512


def grain(rng: np.random.Generator) -> NDArray[np.float32]:
    """A fine texture of the canvas's size, 0 to 1."""
    y, x = rng.integers(0, (_TILE - CANVAS_HEIGHT, _TILE - CANVAS_WIDTH))
    return _grain_tile()[y : y + CANVAS_HEIGHT, x : x + CANVAS_WIDTH]


def background(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gradients, soft colours and clutter: uint8 (CANVAS_HEIGHT, CANVAS_WIDTH, 3)."""
    size = (CANVAS_WIDTH, CANVAS_HEIGHT)
    cells = rng.integers(2, 7, 2)
    soft = _colours(rng, int(cells[0] * cells[1])).reshape(int(cells[0]), int(cells[1]), 3) * rng.uniform(0.3, 1)
    soft = soft + rng.uniform(0, 255 - soft.max())
    canvas = Canvas(cv2.resize(np.rint(soft).astype(np.uint8), size, interpolation=cv2.INTER_CUBIC))
    for _ in range(int(rng.integers(0, 9))):
        colour = _colour(rng)
        x, y = rng.uniform((0, 0), (WIDTH, HEIGHT))
        kind = rng.random()
        if kind < 0.4:
            a, b = rng.uniform(8, 60, 2)
            canvas.fill(
                np.array([(x - a, y - b), (x + a, y - b + rng.uniform(-9, 9)), (x + a, y + b), (x - a, y + b)]), colour
            )
        elif kind < 0.7:
            canvas.fill(ellipse(x, y, *rng.uniform(5, 45, 2)), colour)
        else:
            canvas.stroke(np.array([(x, y), rng.uniform((0, 0), (WIDTH, HEIGHT))]), colour, rng.uniform(1, 9))
    if rng.random() < 0.7:
        small = cv2.resize(canvas.image, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
        side = 2 * int(rng.integers(1, 13)) + 1
        small = cv2.stackBlur(small, (side, side))
        return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR))
    return canvas.image


def _colours(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Colours (count, 3), more of them dull than bright."""
    grey, full = rng.uniform(0, 255, (count, 1)), rng.uniform(0, 255, (count, 3))
    return grey + rng.uniform(0, 1, (count, 1)) ** 1.5 * (full - grey)


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = _colours(rng, 1)[0].tolist()
    return red, green, blue


def paint_obstacle(portrait: Portrait) -> None:
    """Now and then something stands before the face: a hand, a bar, a patch."""
    rng, canvas = portrait.rng, portrait.canvas
    kind = rng.random()
    if kind < 0.08:
        corner = portrait.at(np.array([rng.choice((-1.0, 1.0)) * rng.uniform((18, 20), (50, 60))]), relief=0)[0]
        turn = rng.uniform(-0.8, 0.8)
        for finger in range(4):
            tip = moved(corner, 9.0 * finger - 14, 6.0 * abs(finger - 1.5) - 9)
            root = tip + 48 * np.array((np.sin(turn), np.cos(turn)))
            canvas.stroke(np.stack((tip, root)), shade(portrait.skin, 0.6), 9.4)
            canvas.stroke(np.stack((tip, root)), shade(portrait.skin, 0.97), 8.2)
    elif kind < 0.14:
        start, end = rng.uniform((0, 0), (WIDTH, HEIGHT), (2, 2))
        canvas.stroke(np.stack((start, end)), _colour(rng), rng.uniform(3, 13))
    elif kind < 0.22:
        x, y = rng.uniform((15, 30), (WIDTH - 15, HEIGHT - 20))
        a, b = rng.uniform(7, 19, 2)
        patch = np.array([(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)])
        canvas.fill(patch, _colour(rng))


def photograph(image: NDArray[np.uint8], person: Person, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the finished painting, and take it with an imperfect camera: uint8 (218, 178, 3) to the same."""
    blur = rng.uniform(0.0, 0.75)
    if person.has("Blurry"):
        blur = 2.2 + 2.2 * person.strength("Blurry")
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.55)
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 11))
    slope = 1 + strength * (np.cos(angle) * x + np.sin(angle) * y)
    tint = rng.uniform(0.82, 1.12, 3) * rng.uniform(0.72, 1.15)
    low = (slope[:, :, None] * tint).astype(np.float32)
    lit = image.astype(np.float32)
    lit *= cv2.resize(low, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    contrast = rng.uniform(0.7, 1.15)
    lit += (128 + rng.uniform(-18, 18)) * (1 - contrast) / contrast
    lit *= contrast
    top, left = rng.integers(0, (_TILE - HEIGHT, _TILE - WIDTH))
    lit += rng.uniform(1, 9) * _noise_tile()[top : top + HEIGHT, left : left + WIDTH]
    return np.rint(lit.clip(0, 255)).astype(np.uint8)


@cache
def _noise_tile() -> NDArray[np.float32]:
    """Standard normal noise, of which every image takes its own window."""
    return np.random.Generator(np.random.PCG64(1)).standard_normal((_TILE, _TILE, 3), np.float32)


@cache
def _grain_tile() -> NDArray[np.float32]:
    raw = np.random.Generator(np.random.PCG64(2)).random((_TILE, _TILE), np.float32)
    fine = cv2.GaussianBlur(raw, (0, 0), 0.9)
    return np.clip((fine - fine.mean()) / (4 * fine.std()) + 0.5, 0, 1)
