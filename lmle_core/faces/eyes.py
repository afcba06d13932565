"""Eyes and what is around them: lids, iris, brows, bags, eye shadow, and the eyes' share of a good-looking face."""

import math

import numpy as np

from lmle_core.faces.anatomy import ellipse, smooth
from lmle_core.faces.person import Colour, mix, shade
from lmle_core.faces.portrait import Portrait, mirrored

_IRIS: tuple[Colour, ...] = ((70, 45, 28), (52, 34, 24), (96, 116, 132), (92, 104, 70), (120, 84, 48))
_SHADOW: tuple[Colour, ...] = ((96, 62, 104), (70, 62, 70), (64, 88, 120), (130, 84, 58), (84, 110, 96))


def paint_eyes(portrait: Portrait) -> None:
    """Both eyes with their brows."""
    gaze = portrait.rng.uniform(-2.2, 2.2)
    tint = _SHADOW[int(portrait.rng.integers(len(_SHADOW)))]
    for side in (-1, 1):
        _bags(portrait, side)
        _makeup(portrait, side, tint)
        _eye(portrait, side, gaze)
        _brow(portrait, side)


def _eye(portrait: Portrait, side: int, gaze: float) -> None:
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    half, opening = anatomy.eye_half_width, anatomy.eye_opening
    y0 = anatomy.eye_y + side * -anatomy.skew[0] / 2
    along = np.linspace(-1, 1, 13)
    arch = 1 - along**2
    tilt = -anatomy.eye_tilt * along * half
    x = anatomy.eye_x + along * half
    upper, lower = y0 + tilt - opening * arch, y0 + tilt + 0.72 * opening * arch
    lid_up, lid_low = np.stack((x, upper), 1), np.stack((x, lower), 1)
    deep = shade(portrait.skin, 0.62)
    socket = ellipse(anatomy.eye_x, y0 - 2, half * 1.3, 8.5)
    canvas.glaze(portrait.at(mirrored(socket, side)), deep, 0.28, softness=3)
    white = mix((206, 196, 188), (246, 244, 244), person.amount("Attractive"))
    canvas.fill(portrait.at(mirrored(np.concatenate((lid_up, lid_low[::-1])), side)), white)
    iris = _IRIS[int(person.looks["iris"] * len(_IRIS))]
    for radius, colour in ((4.7, shade(iris, 0.8)), (3.9, iris), (1.9, (14.0, 12.0, 12.0))):
        disc = ellipse(anatomy.eye_x + side * gaze, y0 - 0.4, radius, radius, 18)
        place = np.interp(disc[:, 0], x, np.arange(len(x)))
        disc[:, 1] = disc[:, 1].clip(
            np.interp(place, np.arange(len(x)), upper), np.interp(place, np.arange(len(x)), lower)
        )
        canvas.fill(portrait.at(mirrored(disc, side)), colour)
    glint = ellipse(anatomy.eye_x + side * gaze + side * 1.4, y0 - 1.6, 0.9, 0.9, 8)
    if opening > 2:
        canvas.glaze(portrait.at(mirrored(glint, side)), (255, 255, 255), 0.85)
    made_up = person.strength("Heavy_Makeup")
    liner = 0.9 + (0 if person.has("Male") else 0.5) + 1.5 * made_up
    canvas.stroke(portrait.at(mirrored(lid_up, side)), mix(deep, (24, 16, 16), 0.8), portrait.px(liner))
    canvas.glaze(portrait.at(mirrored(lid_low, side)), mix(deep, (24, 16, 16), made_up), 0.6, line=portrait.px(0.8))
    crease = lid_up + (0.0, -2.6) if opening > 3 else lid_up + (0.0, -1.8)
    canvas.glaze(portrait.at(mirrored(crease, side)), deep, 0.55, softness=0.4, line=portrait.px(0.9))
    if made_up:
        tips = lid_up[5:] + np.stack((np.linspace(0.4, 3.0, 8), np.full(8, -3.2)), 1)
        lashes = [portrait.at(mirrored(np.stack((a, b)), side)) for a, b in zip(lid_up[5:], tips, strict=True)]
        canvas.strokes(lashes, (22, 14, 16), portrait.px(0.7))
    fat = 1.0 - min(1.0, opening / 3.2)
    if fat > 0:
        heavy = np.concatenate((lid_up + (0.0, -4.0), lid_up[::-1]))
        canvas.glaze(portrait.at(mirrored(heavy, side)), shade(portrait.skin, 1.07), 0.6 * fat, softness=0.8)


def _brow(portrait: Portrait, side: int) -> None:
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    bushy, arched = person.amount("Bushy_Eyebrows"), person.amount("Arched_Eyebrows")
    thick = 1.1 + 0.5 * person.looks["brow"] + 2.7 * bushy + (0.4 if person.has("Male") else 0)
    y0 = anatomy.eye_y - 12.5 + person.look("brow_height", -1, 1) + (0.8 if person.has("Male") else -0.8)
    y0 += -side * anatomy.skew[0] * 0.7
    peak = 7.0 * arched
    middle = smooth(
        np.array([
            (anatomy.eye_x - 10.5, y0 + 1.0 + 0.3 * peak), (anatomy.eye_x - 3, y0 - 0.6 - 0.15 * peak),
            (anatomy.eye_x + 4, y0 - 0.8 - 0.8 * peak), (anatomy.eye_x + 11.5, y0 + 2.4 + 0.05 * peak),
        ]),
        steps=4,
    )  # fmt: skip
    taper = np.linspace(1, 0.25, len(middle))[:, None] * (0.0, thick)
    dark = mix(shade(portrait.hair, 0.62), (42, 30, 24), 0.55)
    if person.has("Gray_Hair"):
        dark = shade(portrait.hair, 0.72)
    shape = portrait.at(mirrored(np.concatenate((middle - taper, (middle + taper)[::-1])), side))
    canvas.glaze(shape, dark, 0.62 + 0.3 * bushy, softness=0.5)
    if bushy > 0.4:
        roots = middle + taper * portrait.rng.uniform(-1, 1, (len(middle), 1))
        ends = roots + portrait.rng.uniform((0, -3.6), (2.4, -1.4), (len(middle), 2))
        hairs = [portrait.at(mirrored(np.stack((a, b)), side)) for a, b in zip(roots, ends, strict=True)]
        canvas.strokes(hairs, shade(dark, 0.8), portrait.px(0.6))


def _bags(portrait: Portrait, side: int) -> None:
    anatomy = portrait.anatomy
    amount = portrait.person.amount("Bags_Under_Eyes")
    y0 = anatomy.eye_y + 7.5
    across = np.linspace(-1, 1, 9)
    arc = np.stack((anatomy.eye_x + 9.0 * across, y0 + 4.4 * (1 - across**2)), 1)
    puff = np.concatenate((arc, arc[::-1] - (0.0, 4.0)))
    place = portrait.at(mirrored(arc, side))
    portrait.canvas.glaze(portrait.at(mirrored(puff, side)), mix(portrait.skin, (96, 66, 92), 0.6), 0.5 * amount, 1.2)
    portrait.canvas.glaze(place, shade(portrait.skin, 0.45), 0.75 * amount, softness=0.6, line=portrait.px(1.3))


def _makeup(portrait: Portrait, side: int, tint: Colour) -> None:
    amount = portrait.person.strength("Heavy_Makeup")
    anatomy = portrait.anatomy
    lid = ellipse(anatomy.eye_x + 1.5, anatomy.eye_y - 5.5, anatomy.eye_half_width * 1.25, 6.0)
    lid[:, 1] += -0.12 * (lid[:, 0] - anatomy.eye_x)
    portrait.canvas.glaze(portrait.at(mirrored(lid, side)), tint, 0.72 * amount, softness=1.3)
    wing = np.array([(anatomy.eye_x + 7, anatomy.eye_y - 0.5), (anatomy.eye_x + 13.5, anatomy.eye_y - 4.5)])
    portrait.canvas.glaze(portrait.at(mirrored(wing, side)), (26, 18, 20), amount, line=portrait.px(1.4))


def paint_crows_feet(portrait: Portrait, opacity: float) -> None:
    """Wrinkles at the outer corners of the eyes."""
    anatomy = portrait.anatomy
    for side in (-1, 1):
        for turn in (-0.4, 0.0, 0.4):
            start = np.array((anatomy.eye_x + anatomy.eye_half_width + 1.5, anatomy.eye_y + 3 * turn))
            end = start + 6.5 * np.array((math.cos(turn), math.sin(turn)))
            line = portrait.at(mirrored(np.stack((start, end)), side))
            portrait.canvas.glaze(line, shade(portrait.skin, 0.5), opacity, softness=0.4, line=portrait.px(0.8))
