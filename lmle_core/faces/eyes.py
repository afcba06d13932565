"""Eyes and what is around them: lids, iris, brows, bags, eye shadow, and the eyes' share of a good-looking face."""

import numpy as np

from lmle_core.faces.anatomy import Points, ellipse, moved, smooth
from lmle_core.faces.person import Colour, mix, shade
from lmle_core.faces.portrait import Portrait

_IRIS: tuple[Colour, ...] = ((70, 45, 28), (52, 34, 24), (96, 116, 132), (92, 104, 70), (120, 84, 48))
_SHADOW: tuple[Colour, ...] = ((96, 62, 104), (70, 62, 70), (64, 88, 120), (130, 84, 58), (84, 110, 96))
_INK: Colour = (24, 16, 16)
_ALONG = np.linspace(-1, 1, 13)
_ARCH = 1 - _ALONG**2
_LASH = np.stack((np.linspace(0.4, 3.0, 8), np.full(8, -3.2)), 1)
_TAPER = np.linspace(1, 0.25, 13)[:, None]
_ACROSS = np.linspace(-1, 1, 9)


def paint_eyes(portrait: Portrait) -> None:
    """Both eyes with their brows."""
    anatomy = portrait.anatomy
    half, opening = anatomy.eye_half_width, anatomy.eye_opening
    x, tilt = anatomy.eye_x + _ALONG * half, -anatomy.eye_tilt * _ALONG * half
    upper = np.stack((x, anatomy.eye_y + tilt - opening * _ARCH), 1)
    lower = np.stack((x, anatomy.eye_y + tilt + 0.72 * opening * _ARCH), 1)
    drop = -anatomy.skew[0] / 2
    _bags(portrait)
    _makeup(portrait)
    _eyes(portrait, upper, lower, drop)
    _lids(portrait, upper, lower, drop)
    _brows(portrait)


def _eyes(portrait: Portrait, upper: Points, lower: Points, drop: float) -> None:
    """Socket, white, iris and pupil."""
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    socket = ellipse(anatomy.eye_x, anatomy.eye_y - 2, anatomy.eye_half_width * 1.3, 8.5)
    canvas.glaze(portrait.both(socket, drop=drop), shade(portrait.skin, 0.66), 0.25, softness=3)
    white = mix((204, 192, 184), (248, 246, 246), person.amount("Attractive"))
    canvas.fill(portrait.both(np.concatenate((upper, lower[::-1])), drop=drop), white)
    iris = _IRIS[int(person.looks["iris"] * len(_IRIS))]
    gaze = portrait.rng.uniform(-2.2, 2.2)
    for radius, colour in ((4.8, shade(iris, 0.7)), (3.9, iris), (1.9, (14.0, 12.0, 12.0))):
        discs = []
        for side in (-1, 1):
            disc = ellipse(anatomy.eye_x + side * gaze, anatomy.eye_y - 0.4, radius, radius, 18)
            disc[:, 1] = disc[:, 1].clip(
                np.interp(disc[:, 0], upper[:, 0], upper[:, 1]), np.interp(disc[:, 0], lower[:, 0], lower[:, 1])
            )
            discs.append(disc * (side, 1) + (0, side * drop))
        canvas.fill(portrait.at(np.stack(discs)), colour)
    if anatomy.eye_opening > 2.4:
        glint = ellipse(gaze + 1.2, anatomy.eye_y - 1.5, 0.9, 0.9, 8)
        glints = np.stack((moved(glint, -anatomy.eye_x, -drop), moved(glint, anatomy.eye_x, drop)))
        canvas.glaze(portrait.at(glints), (255, 255, 255), 0.5 + 0.5 * person.amount("Attractive"))


def _lids(portrait: Portrait, upper: Points, lower: Points, drop: float) -> None:
    """The lids' edges, their crease, and lashes."""
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    deep = shade(portrait.skin, 0.62)
    made_up = person.strength("Heavy_Makeup")
    narrow = person.amount("Narrow_Eyes")
    if narrow > 0.25:  # a heavy lid hangs over the eye
        heavy = np.concatenate((upper - (0.0, 4.5), upper[::-1]))
        canvas.glaze(portrait.both(heavy, drop=drop), shade(portrait.skin, 1.05), 0.7 * narrow, softness=0.8)
    liner = 0.9 + (0 if person.has("Male") else 0.4) + 1.5 * made_up
    canvas.stroke(portrait.both(upper, drop=drop), mix(deep, _INK, 0.8), portrait.px(liner))
    canvas.glaze(portrait.both(lower, drop=drop), mix(deep, _INK, made_up), 0.6, line=portrait.px(0.8))
    crease = upper - (0.0, 1.8 + 0.3 * anatomy.eye_opening)
    canvas.glaze(portrait.both(crease, drop=drop), deep, 0.55, softness=0.4, line=portrait.px(0.9))
    if made_up:
        lashes = np.stack((upper[5:], upper[5:] + _LASH), 1)
        for side in (-1, 1):
            canvas.stroke(portrait.at(lashes * (side, 1) + (0, side * drop)), _INK, portrait.px(0.7))


def _brows(portrait: Portrait) -> None:
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    bushy, arched, male = person.amount("Bushy_Eyebrows"), person.amount("Arched_Eyebrows"), person.has("Male")
    thick = 0.9 + 0.5 * person.looks["brow"] + 3.4 * bushy + (0.4 if male else 0)
    y = anatomy.eye_y - 12.5 + person.look("brow_height", -1, 1) + (0.8 if male else -0.8)
    peak = 7.5 * arched
    middle = smooth(
        np.array([
            (anatomy.eye_x - 10.5, y + 1.0 + 0.3 * peak), (anatomy.eye_x - 3, y - 0.6 - 0.15 * peak),
            (anatomy.eye_x + 4, y - 0.8 - 0.8 * peak), (anatomy.eye_x + 11.5, y + 2.4 + 0.05 * peak),
        ]),
        steps=4,
    )  # fmt: skip
    taper = _TAPER * (0.0, thick)
    dark = mix(shade(portrait.hair, 0.62), (42, 30, 24), 0.55)
    if person.has("Gray_Hair"):
        dark = shade(portrait.hair, 0.72)
    drop = -anatomy.skew[0] * 0.7
    brow = np.concatenate((middle - taper, (middle + taper)[::-1]))
    canvas.glaze(portrait.both(brow, drop=drop), dark, 0.62 + 0.3 * bushy, softness=0.5)
    if bushy > 0.4:
        roots = middle + taper * portrait.rng.uniform(-1, 1, (13, 1))
        hairs = np.stack((roots, roots + portrait.rng.uniform((0, -3.8), (2.4, -1.4), (13, 2))), 1)
        for side in (-1, 1):
            canvas.stroke(portrait.at(hairs * (side, 1) + (0, side * drop)), shade(dark, 0.8), portrait.px(0.6))


def _bags(portrait: Portrait) -> None:
    anatomy = portrait.anatomy
    amount = portrait.person.amount("Bags_Under_Eyes")
    arc = np.stack((anatomy.eye_x + 9.0 * _ACROSS, anatomy.eye_y + 7.5 + 4.4 * (1 - _ACROSS**2)), 1)
    puff = np.concatenate((arc, arc[::-1] - (0.0, 4.0)))
    portrait.canvas.glaze(portrait.both(puff), mix(portrait.skin, (96, 66, 92), 0.6), 0.75 * amount, 1.2)
    portrait.canvas.glaze(
        portrait.both(arc), shade(portrait.skin, 0.45), 0.95 * amount, softness=0.6, line=portrait.px(1.7)
    )


def _makeup(portrait: Portrait) -> None:
    amount = portrait.person.strength("Heavy_Makeup")
    if not amount:
        return
    anatomy = portrait.anatomy
    tint = _SHADOW[int(portrait.rng.integers(len(_SHADOW)))]
    lid = ellipse(anatomy.eye_x + 1.5, anatomy.eye_y - 5.5, anatomy.eye_half_width * 1.25, 6.0)
    lid[:, 1] += -0.12 * (lid[:, 0] - anatomy.eye_x)
    portrait.canvas.glaze(portrait.both(lid), tint, 0.72 * amount, softness=1.3)
    wing = np.array([(anatomy.eye_x + 7, anatomy.eye_y - 0.5), (anatomy.eye_x + 13.5, anatomy.eye_y - 4.5)])
    portrait.canvas.glaze(portrait.both(wing), _INK, amount, line=portrait.px(1.4))
