"""Beards: five o'clock shadow, goatee, moustache, sideburns, and the full beard of a man with none of these."""

import numpy as np

from lmle_core.faces.anatomy import Points, smooth
from lmle_core.faces.person import Colour, mix, shade
from lmle_core.faces.portrait import Portrait, mirrored

_KINDS = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")


def paint_beard(portrait: Portrait) -> None:
    """Whatever grows on the face; nothing where there is no beard."""
    person, anatomy = portrait.person, portrait.anatomy
    if person.has("No_Beard"):
        return
    colour = _colour(portrait)
    if person.has("5_o_Clock_Shadow"):
        amount = person.strength("5_o_Clock_Shadow")
        tone = mix(colour, (58, 62, 74), 0.4)
        portrait.canvas.glaze(portrait.at(_jaw(portrait)), tone, 0.2 + 0.42 * amount, 3.0, grain=portrait.grain)
        portrait.canvas.glaze(
            portrait.at(_upper_lip(portrait, 3.0)), tone, 0.2 + 0.4 * amount, 1.5, grain=portrait.grain
        )
    if not any(person.has(kind) for kind in _KINDS):
        _grow(portrait, _jaw(portrait), colour, 0.85, 1.5)
    if person.has("Sideburns"):
        w = anatomy.half_width
        end = 14 + 18 * person.strength("Sideburns")
        for side in (-1, 1):
            strip = np.array(
                [(w * 1.0, -14.0), (w * 0.82, -14), (w * 0.84, end * 0.6), (w * 0.76, end), (w * 0.98, end - 4)]
            )
            _grow(portrait, mirrored(strip, side), colour, 0.92, 0.8)
    if person.has("Goatee"):
        amount = person.strength("Goatee")
        wide = anatomy.mouth_half_width * (0.55 + 0.35 * amount)
        top = anatomy.mouth_y + 7.5 + anatomy.mouth_opening * 0.7 + anatomy.lip * 0.7
        patch = smooth(
            np.array([(-wide * 0.6, top), (wide * 0.6, top), (wide, anatomy.chin - 8), (wide * 0.6, anatomy.chin + 3),
                      (-wide * 0.6, anatomy.chin + 3), (-wide, anatomy.chin - 8)]), closed=True)  # fmt: skip
        _grow(portrait, patch, colour, 0.95, 0.8)
    if person.has("Mustache"):
        _grow(portrait, _upper_lip(portrait, 2.4 + 3.2 * person.strength("Mustache")), colour, 0.95, 0.7)


def _colour(portrait: Portrait) -> Colour:
    if portrait.person.has("Bald"):
        return (62, 48, 40)
    if portrait.person.has("Gray_Hair"):
        return shade(portrait.hair, 0.85)
    return mix(shade(portrait.hair, 0.68), (48, 32, 24), 0.4)


def _grow(portrait: Portrait, region: Points, colour: Colour, opacity: float, softness: float) -> None:
    """A patch of hair, with some single hairs in it."""
    portrait.canvas.glaze(portrait.at(region), colour, opacity, softness)
    low, high = region.min(0), region.max(0)
    roots = portrait.rng.uniform(low + (high - low) * 0.15, high - (high - low) * 0.15, (14, 2))
    ends = roots + portrait.rng.uniform((-1.2, 1.5), (1.2, 4.0), (14, 2))
    portrait.canvas.stroke(portrait.at(np.stack((roots, ends), 1)), shade(colour, 1.3), portrait.px(0.6))


def _jaw(portrait: Portrait) -> Points:
    """Cheeks, jaw and chin up to the mouth, as a ring open at the top."""
    anatomy = portrait.anatomy
    outline = anatomy.outline
    outer = outline[(outline[:, 1] > 6)] * (0.985, 1.0)
    outer = outer[np.argsort(np.arctan2(outer[:, 0], outer[:, 1] - 6))]
    w, half = anatomy.half_width, anatomy.mouth_half_width
    low = anatomy.mouth_y + anatomy.lip * 1.5 + anatomy.mouth_opening * 0.7 + 2.5
    side = [(w * 0.8, 8.0), (w * 0.62, 24), (half + 6, anatomy.mouth_y - 1), (half * 0.6, low), (0, low + 1)]
    inner = smooth(np.array(side + [(-x, y) for x, y in side[-2::-1]]))
    return np.concatenate((outer, inner))


def _upper_lip(portrait: Portrait, thick: float) -> Points:
    anatomy = portrait.anatomy
    half = anatomy.mouth_half_width + 1.5
    base = anatomy.mouth_y - anatomy.lip - anatomy.mouth_opening * 0.3 - 0.6
    corner = anatomy.mouth_y - anatomy.smile * 0.8 + 1.5
    x = np.array([-half, -half * 0.48, 0, half * 0.48, half])
    under = smooth(np.stack((x, [corner, base, base + 0.4, base, corner]), 1))
    over = smooth(
        np.stack((x, [corner - thick / 2, base - thick, base - 0.9 * thick, base - thick, corner - thick / 2]), 1)
    )
    return np.concatenate((under, over[::-1]))
