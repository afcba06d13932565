"""The mouth: lips, teeth, smile, lipstick."""

import numpy as np

from lmle_core.faces.anatomy import Points, moved, smooth
from lmle_core.faces.person import Colour, mix, shade
from lmle_core.faces.portrait import Portrait

_LIPSTICK: tuple[Colour, ...] = ((186, 24, 44), (212, 44, 84), (150, 26, 58), (222, 78, 90), (170, 44, 30))


def paint_mouth(portrait: Portrait) -> None:
    """Lips, what is seen between them, and the folds of a smile."""
    anatomy, person, canvas = portrait.anatomy, portrait.person, portrait.canvas
    half, y0, lip, gap = anatomy.mouth_half_width, anatomy.mouth_y, anatomy.lip, anatomy.mouth_opening
    corner_left, corner_right = y0 - anatomy.smile + anatomy.skew[1] / 2, y0 - anatomy.smile - anatomy.skew[1] / 2
    sag = 0.35 * max(0.0, anatomy.smile)

    def curve(middle: float, shoulder: float, at: float = 0.36) -> Points:
        """From corner to corner through a middle and two shoulders."""
        return smooth(np.array([(-half, corner_left), (-half * at, shoulder), (0, middle), (half * at, shoulder),
                                (half, corner_right)]))  # fmt: skip

    top = curve(y0 - lip * 0.75 - gap * 0.3 + sag, y0 - lip * 1.15 - gap * 0.3 + sag * 0.6)
    seam_up = curve(y0 - gap * 0.3 + sag, y0 - gap * 0.3 + sag * 0.55)
    seam_low = curve(y0 + gap * 0.7 + sag * 1.2, y0 + gap * 0.66 + sag * 0.7)
    bottom = curve(y0 + gap * 0.7 + lip * 1.5 + sag * 1.3, y0 + gap * 0.66 + lip * 1.25 + sag * 0.6)
    bare = mix(portrait.skin, (168, 74, 72), 0.38 if person.has("Male") else 0.45)
    stick = _LIPSTICK[int(portrait.rng.integers(len(_LIPSTICK)))]
    painted = person.strength("Wearing_Lipstick")
    colour = mix(bare, stick, painted**0.5)
    below = moved(bottom[4:-4], 0, 3)
    canvas.glaze(portrait.at(below), shade(portrait.skin, 0.6), 0.4, softness=1.2, line=portrait.px(2))
    canvas.fill(portrait.at(np.concatenate((top, seam_up[::-1]))), shade(colour, 0.88))
    canvas.fill(portrait.at(np.concatenate((seam_low, bottom[::-1]))), colour)
    gloss = bottom[7:-7] - (0.0, lip * 0.7)
    canvas.glaze(portrait.at(gloss), (255, 230, 230), 0.2 + 0.35 * painted, softness=0.6, line=portrait.px(lip * 0.5))
    if gap > 0.8:
        inside = np.concatenate((seam_up, seam_low[::-1]))
        canvas.fill(portrait.at(inside), (58, 18, 20))
        teeth = np.concatenate((seam_up[2:-2], (seam_up + (seam_low - seam_up) * 0.62)[2:-2][::-1]))
        canvas.fill(portrait.at(teeth), (236, 232, 222))
    else:
        canvas.stroke(portrait.at(seam_up), shade(mix(colour, (60, 20, 20), 0.6), 0.8), portrait.px(0.9))
    if anatomy.smile > 1:
        fold = smooth(np.array([(half * 0.72, y0 - 20.0), (half + 4.5, y0 - 10), (half + 5.5, y0 + 1)]))
        canvas.glaze(portrait.both(fold), shade(portrait.skin, 0.55), 0.1 * anatomy.smile, 0.8, portrait.px(1.3))
