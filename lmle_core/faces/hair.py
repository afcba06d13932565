"""Hair: what hangs behind and beside the face, the cap with its hairline, the fringe, and a bald head's shine."""

from dataclasses import dataclass

import numpy as np

from lmle_core.faces.anatomy import Points, ellipse, moved, smooth
from lmle_core.faces.person import mix, shade
from lmle_core.faces.portrait import Portrait, mirrored

_CROWN_ANGLE = np.linspace(np.pi / 2, 0.1, 10)
_CROWN = np.stack((np.cos(_CROWN_ANGLE), -np.sin(_CROWN_ANGLE)), 1)
_OVER_ANGLE = np.linspace(-0.12, np.pi + 0.12, 34)
_OVER = np.stack((np.cos(_OVER_ANGLE), -np.sin(_OVER_ANGLE)), 1)
_STRAND = np.linspace(0, 0.78, 7)
_SHARES = np.array([0.12, 0.3, 0.48, 0.66, 0.84])[:, None]
_FRINGE = np.linspace(-0.84, 0.84, 23)


@dataclass(frozen=True)
class Style:
    """The measures of a hair style, in face units.

    Attributes:
        end: where the hair beside the face ends; under 0: it ends above the ear.
        volume: how far it stands off the head.
        wave: amplitude of its waves.
        flow: how much its strands lie parallel, 0 to 1.
        parting: where it is parted.
    """

    end: float
    volume: float
    wave: float
    flow: float
    parting: float

    @classmethod
    def of(cls, portrait: Portrait) -> "Style":
        """The style of a person with hair."""
        person = portrait.person
        length, volume = person.looks["hair_length"], person.look("hair_volume", 1.5, 6.5)
        wavy, straight = person.strength("Wavy_Hair"), person.strength("Straight_Hair")
        if person.has("Male"):
            end = -8.0 + 6 * length
            if wavy or straight:
                end = 6.0 + 10 * length if length < 0.88 else 30 + 60 * (length - 0.88) / 0.12
        elif wavy or straight:
            end = 28 + 70 * length
        else:
            end = -4.0 if length < 0.45 else 12 + 45 * length
        return cls(
            end=end, volume=volume * (1 - 0.5 * straight) + 3 * wavy, wave=4.6 * wavy, flow=straight,
            parting=person.look("parting", -16, 16),
        )  # fmt: skip

    def ripple(self, y: Points, phase: float) -> Points:
        """How far hair at height y is pushed outwards by its waves."""
        if self.wave:
            return self.wave * np.sin(y / 4.6 + phase)
        return 1.1 * (1 - self.flow) * np.sin(y / 2.3 + 3 * phase)


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
        shine = ellipse(portrait.person.look("parting", -9, 9), -52, 17, 7)
        portrait.canvas.glaze(portrait.at(shine), (255, 246, 238), 0.55, softness=3)
        return
    style = Style.of(portrait)
    _cap(portrait, style)
    if style.end > 0:
        _curtains(portrait, style)
    if portrait.person.has("Bangs"):
        _fringe(portrait, style)


def _outer(portrait: Portrait, style: Style) -> Points:
    """The outer edge of long hair on the right, from the crown down."""
    w = portrait.anatomy.half_width
    rx, ry = w + 3 + style.volume, 58 + style.volume
    y = np.linspace(-14, style.end, 16)
    down = np.stack((rx + _flare(y, style) + style.ripple(y, 1.0), y), 1)
    return np.concatenate((_CROWN * (rx, ry) + (0, -12), down, [(w * 0.5, style.end + 5 * style.flow)]))


def _flare(y: Points, style: Style) -> Points:
    """How far long hair spreads towards the shoulders."""
    return 2 + 6 * (1 - style.flow) * ((y + 14) / 80).clip(0, 1)


def _hairline(portrait: Portrait, style: Style) -> Points:
    """The edge of the hair on the face, from the left temple over the forehead to the right one."""
    w = portrait.anatomy.half_width
    back = portrait.person.amount("Receding_Hairline")
    low = min(style.end, 2.0)
    height, corner = -43.0 - 15 * back, -39.0 - 24 * back
    temple = (w * (0.8 - 0.1 * back), -31 - 20 * back)
    return smooth(
        np.array([
            (-w * 0.97, low), (-w * 0.9, -20), (-temple[0], temple[1]), (-w * 0.5, corner),
            (style.parting / 2, height), (w * 0.5, corner), temple, (w * 0.9, -20), (w * 0.97, low),
        ])
    )  # fmt: skip


def _cap(portrait: Portrait, style: Style) -> None:
    """The hair on top, from the crown to the hairline, with strands that fall from the parting."""
    canvas, rng, w = portrait.canvas, portrait.rng, portrait.anatomy.half_width
    bump = style.wave * 0.55 * np.sin(_OVER_ANGLE * 13) + 0.6 * (1 - style.flow) * np.sin(_OVER_ANGLE * 31)
    lift = 4 * np.clip(np.sin(_OVER_ANGLE), 0, 1) * np.cos(_OVER_ANGLE - np.pi / 2 + style.parting / 20)
    radii = np.stack((w + 2.5 + style.volume + bump, 56 + style.volume + bump + lift), 1)
    over = _OVER * radii + (0, -11)
    over = over[over[:, 1] < max(style.end, -8) + 1]
    line = _hairline(portrait, style)
    cap = np.concatenate((portrait.at(over, relief=0), portrait.at(line, relief=0.75)))
    canvas.fill(cap, portrait.hair)
    rim = portrait.at(moved(line, 0, 0.8), relief=0.75)
    canvas.glaze(rim, shade(portrait.hair, 0.7), 0.35, softness=1.2, line=portrait.px(2))
    if style.flow:  # sleek hair reflects in a band
        band = np.stack((_FRINGE * 0.8 * w, -52 + 12 * _FRINGE**2 + portrait.rng.uniform(-1, 1, 23)), 1)
        light = shade(mix(portrait.hair, (150, 150, 150), 0.12), 1.5)
        canvas.glaze(portrait.at(band, relief=0.4), light, 0.75 * style.flow, 1.2, portrait.px(4.5))
    slant = np.sort(rng.uniform(-0.97, 0.97, 22))[:, None]
    reach = rng.uniform(0.5, 1.0, (22, 1)) * _STRAND
    x = style.parting * (1 - reach) + slant * w * 0.94 * reach**0.8 + style.wave * 0.6 * np.sin(7.5 * reach + 9 * slant)
    y = -63 - 0.4 * style.volume + (19 + 34 * slant**2) * reach**1.6 - (1 - abs(slant)) * 1.5
    strands = portrait.at(np.stack((x, y), 2), relief=0.4)
    canvas.stroke(strands[::2], shade(portrait.hair, 0.76), portrait.px(0.9))
    canvas.stroke(strands[1::2], shade(portrait.hair, 1.2), portrait.px(0.9))


def _curtains(portrait: Portrait, style: Style) -> None:
    """Long hair beside the face."""
    canvas, w = portrait.canvas, portrait.anatomy.half_width
    y = np.linspace(-34, style.end, 18)
    inner = w * (0.86 + 0.08 * ((y + 34) / 60).clip(0, 1)) + 0.8 * style.ripple(y, 2.0)
    outer = w + 3 + style.volume + _flare(y, style) + style.ripple(y, 1.0)
    outer = np.where(y < -14, np.minimum(outer, w * 0.98 + style.volume * 0.5), outer)
    shape = np.concatenate((np.stack((inner, y), 1), np.stack((outer, y), 1)[::-1]))
    canvas.fill(portrait.both(shape, relief=0), shade(portrait.hair, 0.92))
    x = inner + (outer - inner) * (_SHARES + portrait.rng.uniform(-0.06, 0.06, (5, 1)))
    lines = np.stack((x, np.broadcast_to(y, x.shape)), 2)
    lines = portrait.at(np.concatenate((lines, lines * (-1, 1))), relief=0)
    canvas.stroke(lines[::2], shade(portrait.hair, 0.68), portrait.px(0.9))
    canvas.stroke(lines[1::2], shade(portrait.hair, 1.22), portrait.px(0.9))
    edge = np.stack((inner - 1.0, y), 1)[4:]
    canvas.glaze(portrait.both(edge, relief=0), shade(portrait.skin, 0.5), 0.4, 1.5, portrait.px(2))


def _fringe(portrait: Portrait, style: Style) -> None:
    """Hair over the forehead, down to the brows or swept to one side."""
    canvas, w, amount = portrait.canvas, portrait.anatomy.half_width, portrait.person.strength("Bangs")
    low = -30 + 11 * amount + style.parting / 2 * _FRINGE + 3 * _FRINGE**2
    low = low + portrait.rng.uniform(-2.4, 2.4, 23) * (1 - 0.5 * style.flow)
    under = np.stack((_FRINGE * w, low), 1)
    over = np.array([(0.9 * w, -36.0), (0.5 * w, -58), (0, -63), (-0.5 * w, -58), (-0.9 * w, -36)])
    shadow = portrait.at(moved(under, 0, 2), relief=0.85)
    canvas.glaze(shadow, shade(portrait.skin, 0.55), 0.6, softness=1.5, line=portrait.px(3))
    canvas.fill(portrait.at(np.concatenate((under, over)), relief=0.8), shade(portrait.hair, 0.97))
    foot = under[1::2]
    foot = moved(foot, 0, -1) + portrait.rng.uniform(-1.6, 1.6, (11, 2))
    lines = np.stack((moved(foot * (0.55, 0), style.parting / 4, -60), moved(foot * (0.9, 0), 0, -46), foot), 1)
    lines = portrait.at(lines, relief=0.8)
    canvas.stroke(lines[::2], shade(portrait.hair, 0.8), portrait.px(0.9))
    canvas.stroke(lines[1::2], shade(portrait.hair, 1.15), portrait.px(0.9))
