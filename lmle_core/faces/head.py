"""Neck, ears and head: the skin, its light and shade, chin, cheeks and nose."""

import numpy as np

from lmle_core.faces.anatomy import ellipse, smooth
from lmle_core.faces.person import mix, shade
from lmle_core.faces.portrait import Portrait, mirrored


def paint_neck(portrait: Portrait) -> None:
    """The neck, with the shadow of the chin on it, and a second chin."""
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    half = anatomy.half_width * (0.62 if person.has("Male") else 0.5) + person.look("neck", -2, 2)
    half += 5 * person.amount("Chubby")
    neck = np.array([(-half, 20.0), (half, 20), (half * 1.0, 62), (half * 1.3, 95), (-half * 1.3, 95), (-half, 62)])
    canvas.fill(portrait.at(neck, relief=0), shade(portrait.skin, 0.86))
    outline = anatomy.outline
    below = outline[outline[:, 1] > 14] * (0.98, 1.0) + (0.0, 8.0)
    canvas.glaze(portrait.at(below, relief=0), shade(portrait.skin, 0.55), 0.75, 2.5)
    double = person.strength("Double_Chin")
    if double:
        deep = 8 + 11 * double
        wide = anatomy.half_width * anatomy.jaw * 0.86
        chin = smooth(np.array([(-wide, 34.0), (-wide * 0.66, anatomy.chin + deep * 0.62), (0, anatomy.chin + deep),
                                (wide * 0.66, anatomy.chin + deep * 0.62), (wide, 34)]))  # fmt: skip
        place = portrait.at(chin, relief=0)
        canvas.fill(place, shade(portrait.skin, 0.95))
        canvas.glaze(place, shade(portrait.skin, 0.5), 0.8, softness=0.8, line=portrait.px(1.6))


def paint_ears(portrait: Portrait) -> None:
    """Both ears."""
    ear = ellipse(portrait.anatomy.half_width + 0.5, 1, 5.5 + portrait.person.look("ears"), 11)
    portrait.canvas.fill(portrait.both(ear, relief=0), shade(portrait.skin, 0.9))
    inner = ellipse(portrait.anatomy.half_width + 2, 1, 2.4, 6.5)
    portrait.canvas.glaze(portrait.both(inner, relief=0), shade(portrait.skin, 0.6), 0.7, 0.8)


def paint_head(portrait: Portrait) -> None:
    """The head's skin, rounded by light and shade."""
    canvas, anatomy = portrait.canvas, portrait.anatomy
    canvas.fill(portrait.at(anatomy.outline, relief=0), shade(portrait.skin, 0.78))
    front = anatomy.outline * (0.9, 0.93) - (0.0, 1.0)
    canvas.glaze(portrait.at(front, relief=0.12), shade(portrait.skin, 1.03), 1.0, softness=3.5)
    _chin(portrait)
    _cheeks(portrait)


def _chin(portrait: Portrait) -> None:
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    if person.has("Double_Chin"):
        wide = anatomy.half_width * anatomy.chin_width
        fold = smooth(np.array([(-wide, anatomy.chin - 6.0), (0, anatomy.chin + 1.0), (wide, anatomy.chin - 6)]))
        opacity = 0.5 + 0.5 * person.strength("Double_Chin")
        canvas.glaze(portrait.at(fold, relief=0), shade(portrait.skin, 0.42), opacity, 0.7, portrait.px(2))
    chubby, w = person.amount("Chubby"), anatomy.half_width
    cheek = ellipse(w * 0.6, 24, 13, 12)
    canvas.glaze(portrait.both(cheek), shade(portrait.skin, 1.12), 0.6 * chubby, softness=3)
    fold = smooth(np.array([(w * 0.42, 17.0), (w * 0.44, 30), (w * 0.56, 42)]))
    canvas.glaze(portrait.both(fold), shade(portrait.skin, 0.6), 0.6 * chubby, 1.3, portrait.px(2))


def _cheeks(portrait: Portrait) -> None:
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    high, rosy, w = person.amount("High_Cheekbones"), person.amount("Rosy_Cheeks"), anatomy.half_width
    bone = ellipse(0, 0, 10.5, 4.6) @ np.array([[0.91, -0.42], [0.42, 0.91]]) + (w * 0.62, 7)
    light = mix(shade(portrait.skin, 1.3), (255, 240, 226), 0.35)
    canvas.glaze(portrait.both(bone), light, 0.75 * high, softness=1.8)
    hollow = np.array([(w * 0.93, 11.0), (w * 0.9, 21), (w * 0.52, 31), (w * 0.66, 19)])
    canvas.glaze(portrait.both(hollow), shade(portrait.skin, 0.55), 0.8 * high, softness=2.2)
    blush = ellipse(w * 0.56, 14, 11, 8.5)
    canvas.glaze(portrait.both(blush), (226, 74, 84), 0.75 * max(0.0, rosy - 0.05), softness=3)


def paint_nose(portrait: Portrait) -> None:
    """The nose: flank, wings, nostrils, bridge and tip."""
    canvas, anatomy = portrait.canvas, portrait.anatomy
    dark, light = shade(portrait.skin, 0.55), shade(portrait.skin, 1.2)
    tip, wide, point = anatomy.nose_y, anatomy.nose_half_width, anatomy.nose_point
    big = portrait.person.amount("Big_Nose")
    out = 13.0 + 7 * point + 3 * big
    side = 1 if portrait.pose.yaw < 0 else -1  # the flank turned away lies in shadow
    flank = np.array([(2.5, -8.0), (4 + big, 8), (wide * 0.95, tip - 2), (wide * 0.3, tip - 3), (1.5, 6)])
    canvas.glaze(portrait.at(mirrored(flank, side), height=out * 0.4), dark, 0.45, softness=1.5)
    canvas.glaze(portrait.at(mirrored(flank, -side), height=out * 0.4), dark, 0.18, softness=1.5)
    wing = smooth(np.array([(wide * 0.8, tip - 7.0), (wide, tip - 2.5), (wide * 0.72, tip + 1), (wide * 0.4, tip)]))
    canvas.glaze(portrait.both(wing, height=out * 0.3), dark, 0.75, softness=0.5, line=portrait.px(1.2 + 0.6 * big))
    nostril = ellipse(wide * 0.44, tip - 0.3, 1.5 + 1.3 * big, 1.1 + 0.4 * big, 10)
    canvas.glaze(portrait.both(nostril, height=out * 0.4), (44, 22, 20), 0.8, softness=0.4)
    if big > 0.3:
        ball = ellipse(0, tip - 5, wide * 0.62, 5.5)
        canvas.glaze(portrait.at(ball, height=out * 0.7), mix(light, (236, 150, 130), 0.3), 0.7 * big, softness=1.5)
    bridge = smooth(np.array([(0.0, -10.0), (0, 4), (0, tip - 6)]))
    canvas.glaze(portrait.at(bridge, height=out * 0.7), light, 0.5 + 0.4 * point, 0.9, portrait.px(2.8 - point))
    if point > 0.2:
        peak = np.array([(-3.2, tip - 5.0), (3.2, tip - 5), (0, tip + 5 * point)])
        canvas.glaze(portrait.at(peak, height=out * 0.8), light, 0.9 * point, softness=0.5)
        under = np.array([(-4.2, tip - 1.0), (0, tip + 6 * point), (4.2, tip - 1)])
        canvas.glaze(portrait.at(under, height=out * 0.6), dark, point, softness=0.5, line=portrait.px(1.2))
