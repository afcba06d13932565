"""What is put on the head: hat, eyeglasses, earrings."""

import numpy as np

from lmle_core.faces.anatomy import ellipse, moved, smooth
from lmle_core.faces.person import Colour, shade
from lmle_core.faces.portrait import Portrait

_METAL: tuple[Colour, ...] = ((236, 200, 96), (224, 228, 236), (40, 170, 170), (214, 60, 80), (250, 246, 240))
_FRAME: tuple[Colour, ...] = ((20, 20, 22), (58, 34, 22), (120, 30, 30), (140, 140, 146), (186, 150, 70))


def paint_earrings(portrait: Portrait) -> None:
    """Drops or rings below both ears."""
    if not portrait.person.has("Wearing_Earrings"):
        return
    rng, canvas = portrait.rng, portrait.canvas
    colour = _METAL[int(rng.integers(len(_METAL)))]
    size = 2.4 + 3.4 * portrait.person.strength("Wearing_Earrings")
    x, y = portrait.anatomy.half_width + 2.5, 14 + size
    if rng.random() < 0.4:
        hoops = portrait.both(ellipse(x, y, size, size * 1.3, 18), relief=0)
        canvas.stroke(hoops, shade(colour, 0.5), portrait.px(2.4), closed=True)
        canvas.stroke(hoops, colour, portrait.px(1.5), closed=True)
    else:
        canvas.fill(portrait.both(ellipse(x, y + 1, size * 0.75, size * 1.2, 14), relief=0), shade(colour, 0.6))
        canvas.fill(portrait.both(ellipse(x, y + 0.8, size * 0.54, size * 0.86, 14), relief=0), colour)
        glint = ellipse(x - 0.6, y - 0.8, size * 0.25, size * 0.35, 8)
        canvas.glaze(portrait.both(glint, relief=0), (255, 255, 255), 0.9, softness=0.3)


def paint_glasses(portrait: Portrait) -> None:
    """Eyeglasses, now and then dark ones."""
    if not portrait.person.has("Eyeglasses"):
        return
    rng, canvas, anatomy = portrait.rng, portrait.canvas, portrait.anatomy
    frame = _FRAME[int(rng.integers(len(_FRAME)))]
    width = 1.0 + 1.6 * portrait.person.strength("Eyeglasses")
    square = rng.uniform(0.45, 1.0)
    dark = rng.random() < 0.15
    lens = ellipse(0, 0, 1, 1, 24)
    lens = np.sign(lens) * np.abs(lens) ** square * (14, 10.5) + (anatomy.eye_x, anatomy.eye_y + 1.5)
    rims = portrait.both(lens, height=5)
    canvas.glaze(rims, (26, 24, 30) if dark else (226, 236, 246), 0.86 if dark else 0.14)
    canvas.stroke(rims, frame, portrait.px(width), closed=True)
    glint = np.array([(anatomy.eye_x - 6, anatomy.eye_y + 6.0), (anatomy.eye_x + 3, anatomy.eye_y - 6)])
    glints = portrait.at(np.stack((glint, glint - (2 * anatomy.eye_x, 0))), height=5)
    canvas.glaze(glints, (255, 255, 255), 0.35, softness=0.5, line=portrait.px(1.6))
    temple = np.array([(anatomy.eye_x + 14, anatomy.eye_y), (anatomy.half_width + 2, anatomy.eye_y - 2)])
    canvas.stroke(portrait.both(temple, relief=0.5), frame, portrait.px(width * 0.9))
    bridge = smooth(
        np.array([(-anatomy.eye_x + 14, anatomy.eye_y), (0, anatomy.eye_y - 2.5), (anatomy.eye_x - 14, anatomy.eye_y)])
    )
    canvas.stroke(portrait.at(bridge, height=7), frame, portrait.px(width))


def paint_hat(portrait: Portrait) -> None:
    """A beanie, a cap or a brimmed hat."""
    if not portrait.person.has("Wearing_Hat"):
        return
    rng, canvas, w = portrait.rng, portrait.canvas, portrait.anatomy.half_width
    colour, band = tuple(rng.uniform(15, 230, 3).tolist()), tuple(rng.uniform(15, 230, 3).tolist())
    kind = int(rng.integers(3))
    brow = -29.0 - 5 * rng.random()
    tall = (84.0, 80.0, 92.0)[kind]
    side = [(w + 6, brow + 3), (w + 5, brow - 18), (w * 0.72, -tall + 9), (0, -tall)]
    crown = smooth(np.array([(-x, y) for x, y in side] + side[-2::-1]))
    under = smooth(np.array([(w + 6, brow + 3), (0, brow - 1), (-w - 6, brow + 3)]))
    shape = np.concatenate((portrait.at(crown, relief=0), portrait.at(under, relief=0.6)))
    shadow = portrait.at(moved(under, 0, 4), relief=0.7)
    canvas.glaze(shadow, (20, 14, 14), 0.45, softness=2.5, line=portrait.px(7))
    canvas.fill(shape, colour)
    if kind == 0:  # a beanie: a folded edge with ribs
        canvas.glaze(portrait.at(under - (0.0, 6.0), relief=0.5), shade(colour, 0.72), 0.9, line=portrait.px(13))
        ribs = np.array([[(x, brow - 12.0), (x * 0.8, -tall + 12)] for x in np.linspace(-w * 0.9, w * 0.9, 9)])
        canvas.stroke(portrait.at(ribs, relief=0.3), shade(colour, 0.8), portrait.px(1))
    elif kind == 1:  # a cap: a peak over the brows
        edge = [(-0.9 * w, -1), (-0.55 * w, 9), (0, 12), (0.55 * w, 9), (0.9 * w, -1), (0, -7)]
        peak = smooth(moved(np.array(edge), 0, brow), closed=True)
        canvas.fill(portrait.at(peak, relief=0.7, height=9), shade(band, 0.8))
    else:  # a brimmed hat with a ribbon
        canvas.glaze(portrait.at(under - (0.0, 7.0), relief=0.5), band, 1.0, line=portrait.px(9))
        brim = ellipse(0, brow + 1, w + 30, 8.5, 30)
        canvas.fill(portrait.at(brim, relief=0, height=12), shade(colour, 0.85))
        canvas.stroke(portrait.at(brim, relief=0, height=12), shade(colour, 0.6), portrait.px(0.8), closed=True)
