"""Hair: what hangs behind and beside the face, the cap with its hairline, the fringe, and a bald head's shine."""

from dataclasses import dataclass

import numpy as np

from lmle_core.faces.anatomy import Points, ellipse, smooth
from lmle_core.faces.person import shade
from lmle_core.faces.portrait import Portrait, mirrored


@dataclass(frozen=True)
class Style:
    """The measures of a hair style, in face units.

    Attributes:
        end: where the hair beside the face ends; under 0: it ends above the ear.
        volume: how far it stands off the head.
        wave: amplitude of its waves.
        flow: how much its strands lie parallel, 0 to 1.
    """

    end: float
    volume: float
    wave: float
    flow: float

    @classmethod
    def of(cls, portrait: Portrait) -> "Style":
        """The style of a person with hair."""
        person = portrait.person
        length, volume = person.looks["hair_length"], person.look("hair_volume", 1.5, 6.5)
        wavy, straight = person.strength("Wavy_Hair"), person.strength("Straight_Hair")
        if person.has("Male"):
            end = -8.0 + 6 * length
            if length > 0.88 and (wavy or straight):
                end = 30 + 60 * (length - 0.88) / 0.12
        elif wavy or straight:
            end = 28 + 70 * length
        else:
            end = -4.0 if length < 0.45 else 12 + 45 * length
        return cls(end=end, volume=volume * (1 - 0.5 * straight) + 3 * wavy, wave=4.6 * wavy, flow=straight)


def paint_hair_behind(portrait: Portrait) -> None:
    """The hair that neck and shoulders stand before."""
    if portrait.person.has("Bald"):
        return
    style = Style.of(portrait)
    if style.end < 0:
        if not portrait.person.has("Male") and portrait.person.looks["parting"] < 0.4:
            knot = ellipse(0, -68 - style.volume, 17, 14)
            portrait.canvas.fill(portrait.at(knot, relief=0), shade(portrait.hair, 0.8))
        return
    side = _outer(portrait, style)
    behind = np.concatenate((mirrored(side, -1), side[::-1]))
    portrait.canvas.fill(portrait.at(behind, relief=0), shade(portrait.hair, 0.62))


def paint_hair(portrait: Portrait) -> None:
    """The hair over the head, with sides and fringe."""
    if portrait.person.has("Bald"):
        shine = ellipse(-9 + 18 * portrait.person.looks["parting"], -52, 17, 7)
        portrait.canvas.glaze(portrait.at(shine), (255, 246, 238), 0.55, softness=3)
        return
    style = Style.of(portrait)
    _cap(portrait, style)
    if style.end > 0:
        for side in (-1, 1):
            _curtain(portrait, style, side)
    if portrait.person.has("Bangs"):
        _fringe(portrait, style)


def _ripple(y: Points, style: Style, phase: float) -> Points:
    """How far hair at height y is pushed outwards by its waves."""
    mess = 1.1 * (1 - style.flow) * np.sin(y / 2.3 + 3 * phase)
    return style.wave * np.sin(y / 4.6 + phase) + (mess if style.wave == 0 else 0)


def _outer(portrait: Portrait, style: Style) -> Points:
    """The outer edge of long hair on the right, from the crown down."""
    w = portrait.anatomy.half_width
    angle = np.linspace(np.pi / 2, 0.1, 10)
    rx, ry = w + 3 + style.volume, 58 + style.volume
    crown = np.stack((rx * np.cos(angle), -12 - ry * np.sin(angle)), 1)
    y = np.linspace(-14, style.end, 16)
    flare = 2 + 6 * (1 - style.flow) * np.clip((y + 14) / 80, 0, 1)
    down = np.stack((rx + flare + _ripple(y, style, 1.0), y), 1)
    return np.concatenate((crown, down, [(w * 0.5, style.end + 5 * style.flow)]))


def _hairline(portrait: Portrait, style: Style) -> Points:
    """The edge of the hair on the face, from the left temple over the forehead to the right one."""
    w = portrait.anatomy.half_width
    back = portrait.person.amount("Receding_Hairline")
    parting = (portrait.person.looks["parting"] - 0.5) * 14
    low = min(style.end, 2.0)
    height = -44.0 - 9 * back
    corner = -40.0 - 22 * back
    line = [
        (-w * 0.97, low), (-w * 0.9, -20), (-w * (0.78 - 0.06 * back), -32 - 14 * back), (-w * 0.5, corner),
        (parting, height), (w * 0.5, corner), (w * (0.78 - 0.06 * back), -32 - 14 * back), (w * 0.9, -20), (w * 0.97, low),
    ]  # fmt: skip
    return smooth(np.array(line))


def _cap(portrait: Portrait, style: Style) -> None:
    canvas, w = portrait.canvas, portrait.anatomy.half_width
    angle = np.linspace(-0.12, np.pi + 0.12, 34)
    bump = style.wave * 0.55 * np.sin(angle * 13) + 0.6 * (1 - style.flow) * np.sin(angle * 31)
    rx, ry = w + 2.5 + style.volume + bump, 57 + style.volume + bump
    over = np.stack((rx * np.cos(angle), -11 - ry * np.sin(angle)), 1)
    over = over[over[:, 1] < max(style.end, -8) + 1]
    line = _hairline(portrait, style)
    cap = np.concatenate((portrait.at(over, relief=0), portrait.at(line, relief=0.75)))
    canvas.fill(cap, portrait.hair)
    rim = portrait.at(line + (0.0, 0.8), relief=0.75)
    canvas.glaze(rim, shade(portrait.hair, 0.7), 0.35, softness=1.2, line=portrait.px(2))
    parting = (portrait.person.looks["parting"] - 0.5) * 14
    bright, dark = [], []
    for k, slant in enumerate(np.linspace(-0.95, 0.95, 15)):
        t = np.linspace(0, 1, 9)
        x = parting * (1 - t) + slant * w * 0.94 * t**0.8
        top, foot = -64.0 - 0.4 * style.volume, -44 + 34 * slant**2
        y = top + (foot - top) * t**1.6 - (1 - abs(slant)) * 1.5
        x = x + style.wave * 0.6 * np.sin(7.5 * t + k)
        strand = portrait.at(np.stack((x, y), 1)[:7], relief=0.4)
        (bright if k % 2 else dark).append(strand)
    canvas.strokes(dark, shade(portrait.hair, 0.72), portrait.px(0.8))
    canvas.strokes(bright, shade(portrait.hair, 1.28), portrait.px(0.8))


def _curtain(portrait: Portrait, style: Style, side: int) -> None:
    """Long hair beside the face."""
    canvas, w = portrait.canvas, portrait.anatomy.half_width
    y = np.linspace(-34, style.end, 18)
    fall = np.clip((y + 34) / 60, 0, 1)
    inner = w * (0.86 + 0.08 * fall) + 0.8 * _ripple(y, style, 2.0)
    outer = w + 3 + style.volume + 2 + 6 * (1 - style.flow) * np.clip((y + 14) / 80, 0, 1) + _ripple(y, style, 1.0)
    outer = np.where(y < -14, np.minimum(outer, w * 0.98 + style.volume * 0.5), outer)
    shape = np.concatenate((np.stack((inner, y), 1), np.stack((outer, y), 1)[::-1]))
    canvas.fill(portrait.at(mirrored(shape, side), relief=0), shade(portrait.hair, 0.92))
    lines: list[Points] = []
    for share in (0.12, 0.3, 0.48, 0.66, 0.84):
        x = inner + (outer - inner) * share
        lines.append(portrait.at(mirrored(np.stack((x, y), 1), side), relief=0))
    canvas.strokes(lines[::2], shade(portrait.hair, 0.66), portrait.px(0.8))
    canvas.strokes(lines[1::2], shade(portrait.hair, 1.25), portrait.px(0.9))
    edge = np.stack((inner, y), 1)[4:]
    canvas.glaze(portrait.at(mirrored(edge - (1.0, 0.0), side), relief=0), shade(portrait.skin, 0.5), 0.4, 1.5, portrait.px(2))


def _fringe(portrait: Portrait, style: Style) -> None:
    """Hair over the forehead, down to the brows or swept to one side."""
    w, amount = portrait.anatomy.half_width, portrait.person.strength("Bangs")
    sweep = (portrait.person.looks["parting"] - 0.5) * 16
    x = np.linspace(-0.84 * w, 0.84 * w, 23)
    low = -30 + 11 * amount + sweep * x / w + 3 * (x / w) ** 2
    jag = np.where(np.arange(23) % 2 == 0, 1.8, -1.8) * (1 - 0.5 * style.flow)
    under = np.stack((x, low + jag), 1)
    over = np.array([(0.9 * w, -36.0), (0.5 * w, -58), (0, -63), (-0.5 * w, -58), (-0.9 * w, -36)])
    shape = np.concatenate((under, over))
    shadow = portrait.at(under + (0.0, 2.0), relief=0.85)
    portrait.canvas.glaze(shadow, shade(portrait.skin, 0.55), 0.6, softness=1.5, line=portrait.px(3))
    portrait.canvas.fill(portrait.at(shape, relief=0.8), shade(portrait.hair, 0.97))
    lines = [
        portrait.at(smooth(np.array([(x[k] * 0.55, -60.0), (x[k] * 0.9, -46), under[k]]), steps=3), relief=0.8)
        for k in range(1, 22, 2)
    ]
    portrait.canvas.strokes(lines[::2], shade(portrait.hair, 0.68), portrait.px(0.8))
    portrait.canvas.strokes(lines[1::2], shade(portrait.hair, 1.25), portrait.px(0.8))
