"""What time and chance leave on the skin: forehead lines, folds, crow's feet, and spots."""

import numpy as np

from lmle_core.faces.anatomy import ellipse, moved, smooth
from lmle_core.faces.person import mix, shade
from lmle_core.faces.portrait import Portrait

_FOREHEAD_X = np.linspace(-24, 24, 9)
_FOREHEAD_Y = np.array([-40.0, -34.0, -28.0])


def paint_age(portrait: Portrait) -> None:
    """Wrinkles, on those who are not young, and spots, on those who are not called attractive."""
    _spots(portrait)
    old = max(0.0, 0.85 - portrait.person.amount("Young"))
    if old <= 0.4:
        return
    opacity, deep = 0.85 * old, shade(portrait.skin, 0.5)
    canvas, anatomy, rng = portrait.canvas, portrait.anatomy, portrait.rng
    x = _FOREHEAD_X + rng.uniform(-2, 2, (3, 1))
    lines = np.stack((x, _FOREHEAD_Y[:, None] + 1.6 * np.cos(x / 7) + rng.uniform(-1, 1, (3, 1))), 2)
    canvas.glaze(portrait.at(lines), deep, opacity * 0.8, softness=0.5, line=portrait.px(0.9))
    nose, mouth = anatomy.nose_half_width, anatomy.mouth_half_width
    fold = smooth(np.array([(nose + 2, 16.0), (mouth + 4.5, 28), (mouth + 6, 40), (mouth + 4, 48)]))
    canvas.glaze(portrait.both(fold), deep, opacity, softness=0.7, line=portrait.px(1.4))
    start = np.array((anatomy.eye_x + anatomy.eye_half_width + 1.5, anatomy.eye_y))
    for turn in (-0.4, 0.0, 0.4):
        root = moved(start, 0, 3 * turn)
        foot = np.stack((root, root + 6.5 * np.array((np.cos(turn), np.sin(turn)))))
        canvas.glaze(portrait.both(foot), deep, opacity, softness=0.4, line=portrait.px(0.8))


def _spots(portrait: Portrait) -> None:
    plain = max(0.0, 0.75 - portrait.person.amount("Attractive"))
    places = portrait.rng.uniform((-30, -36, 0.5), (30, 48, 1.5), (int(22 * plain), 3))
    if len(places):
        spots = ellipse(0, 0, 1, 1, 8) * places[:, None, 2:] + places[:, None, :2]
        colour = mix(shade(portrait.skin, 0.6), (150, 60, 50), 0.4)
        portrait.canvas.glaze(portrait.at(spots), colour, 0.7, softness=0.4)
