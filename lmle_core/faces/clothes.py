"""Shoulders and what they wear: shirt or dress, necktie, necklace."""

import numpy as np

from lmle_core.faces.anatomy import Points, ellipse, moved
from lmle_core.faces.person import Colour, shade
from lmle_core.faces.portrait import Portrait

_CHAIN: tuple[Colour, ...] = ((232, 196, 92), (222, 226, 232), (246, 240, 228))


def paint_clothes(portrait: Portrait) -> None:
    """Shoulders with a garment, below the head."""
    rng, canvas = portrait.rng, portrait.canvas
    colour = tuple(rng.uniform(20, 235, 3).tolist())
    base = portrait.anatomy.chin + 17
    half = portrait.anatomy.half_width * 0.62
    kind = int(rng.integers(3))
    deep = (6.0, 16.0, 22.0)[kind]
    bend = [] if kind == 2 else [0.6]  # a V, or round
    collar = [(-half - 5, base - 3), *((-half * x, base + deep * 0.8) for x in bend), (0, base + deep)]
    collar += [(half * x, base + deep * 0.8) for x in bend] + [(half + 5, base - 3)]
    body = np.array([*collar, (100, base + 22), (115, base + 90), (-115, base + 90), (-100, base + 22)])
    canvas.fill(_body(portrait, body), colour)
    fold = _body(portrait, np.array(collar))
    canvas.stroke(fold, shade(colour, 0.7), portrait.px(1.6))
    if rng.random() < 0.35:
        x = np.arange(-96, 97, 16)
        lines = np.stack((np.stack((x, base + 8 + abs(x) / 6), 1), np.stack((x * 1.15, np.full(13, base + 80)), 1)), 1)
        canvas.stroke(_body(portrait, lines), tuple(rng.uniform(20, 235, 3).tolist()), portrait.px(rng.uniform(1, 4)))
    if portrait.person.has("Wearing_Necktie"):
        _necktie(portrait, base)


def paint_necklace(portrait: Portrait) -> None:
    """A chain or pearls around the neck, over the clothes and under the hair's sides."""
    if not portrait.person.has("Wearing_Necklace"):
        return
    canvas, rng = portrait.canvas, portrait.rng
    amount = portrait.person.strength("Wearing_Necklace")
    colour = _CHAIN[int(rng.integers(len(_CHAIN)))]
    top = portrait.anatomy.chin + 9
    half = portrait.anatomy.half_width * 0.62
    x = np.linspace(-1, 1, 15)
    drop = 8 + 7 * amount
    chain = _body(portrait, np.stack((x * half, top + drop * (1 - x**2)), 1))
    canvas.glaze(moved(chain, 0, 1.5), shade(portrait.skin, 0.45), 0.6, softness=0.8, line=portrait.px(2))
    if rng.random() < 0.5:
        beads = ellipse(0, 0, portrait.px(2.2), portrait.px(2.2), 10) + chain[:, None]
        canvas.fill(beads, shade(colour, 0.85))
        canvas.glaze(beads * 0.5 + chain[:, None] * 0.5 - 0.5, (255, 255, 255), 0.8, softness=0.4)
    else:
        canvas.stroke(chain, shade(colour, 0.55), portrait.px(2.4))
        canvas.stroke(chain, colour, portrait.px(1.5))
        pendant = _body(portrait, ellipse(0, top + drop + 3.5, 3.2, 4.2, 12))
        canvas.fill(pendant, shade(colour, 0.8))
        canvas.glaze(pendant - (0.6, 0.8), (255, 255, 255), 0.6, softness=0.7)


def _necktie(portrait: Portrait, base: float) -> None:
    canvas, rng = portrait.canvas, portrait.rng
    suit, tie = tuple(rng.uniform(15, 80, 3).tolist()), tuple(rng.uniform(10, 210, 3).tolist())
    shirt = np.array([(-34.0, base - 8), (34, base - 8), (40, base + 90), (-40, base + 90)])
    canvas.fill(_body(portrait, shirt), (238, 238, 242))
    lapel = np.array([(34.0, base - 6), (105, base + 18), (118, base + 95), (14, base + 95)])
    canvas.fill(_body(portrait, np.stack((lapel, lapel * (-1, 1)))), suit)
    collar = np.array([(31.0, base - 12), (2, base + 1), (17, base + 12), (33, base - 4)])
    collars = _body(portrait, np.stack((collar, collar * (-1, 1))))
    canvas.fill(collars, (250, 250, 252))
    canvas.stroke(collars, (170, 170, 180), portrait.px(0.8), closed=True)
    blade = _body(portrait, np.array([(-3.4, base + 8.0), (3.4, base + 8), (10, base + 90), (-10, base + 90)]))
    canvas.fill(blade, tie)
    knot = _body(portrait, np.array([(-6.5, base - 2.0), (6.5, base - 2), (3.4, base + 9), (-3.4, base + 9)]))
    canvas.fill(knot, shade(tie, 0.8))
    canvas.stroke(knot, shade(tie, 0.5), portrait.px(0.8), closed=True)
    if rng.random() < 0.5:
        stripes = np.array([[(-8.0, base + y), (8, base + y + 6)] for y in range(12, 80, 9)])
        canvas.stroke(_body(portrait, stripes), shade(tie, 1.7), portrait.px(1.4))


def _body(portrait: Portrait, points: Points) -> Points:
    """Where the body is: it follows the head's place and size, and half of its turn in the image plane."""
    turned = portrait.at(points, relief=0)
    centre = portrait.at(np.zeros((1, 2)), relief=0)
    angle = -portrait.pose.angle / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (turned - centre) @ turn + centre
