"""The canvas: anti-aliased polygons and strokes with sub-pixel corners, and soft, half-transparent glazes.

Coordinates are in the final image's pixels; the canvas itself is finer and is averaged down at the end.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from lmle_core.faces.anatomy import HEIGHT, WIDTH, Points
from lmle_core.faces.person import Colour

FINER = 1.5
"""Canvas pixels to a final pixel, each way."""

CANVAS_HEIGHT, CANVAS_WIDTH = round(HEIGHT * FINER), round(WIDTH * FINER)

_SHIFT = 4  # binary digits behind the point


class Canvas:
    """An image that is being painted.

    Attributes:
        image: uint8 (CANVAS_HEIGHT, CANVAS_WIDTH, 3), RGB.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image
        self._buffers = np.empty((2, image.size), np.uint8)

    def fill(self, shapes: Points, colour: Colour) -> None:
        """Paint polygons, (n, 2) or several of (k, n, 2), opaque."""
        cv2.fillPoly(self.image, _fixed(shapes), colour, cv2.LINE_AA, _SHIFT)

    def stroke(self, lines: Points, colour: Colour, width: float, closed: bool = False) -> None:
        """Paint a line along the points (n, 2), or several of (k, n, 2), opaque, `width` pixels wide."""
        cv2.polylines(self.image, _fixed(lines), closed, colour, _thickness(width), cv2.LINE_AA, _SHIFT)

    def glaze(
        self,
        shapes: Points,
        colour: Colour,
        opacity: float,
        softness: float = 0.0,
        line: float = 0.0,
        grain: NDArray[np.float32] | None = None,
    ) -> None:
        """Lay a colour over polygons, or along lines, half transparent and with soft edges.

        Args:
            shapes: (n, 2), or several of (k, n, 2) that do not overlap.
            colour: of the glaze.
            opacity: 0 to 1 in the middle.
            softness: standard deviation of the edge's blur, in pixels.
            line: width of lines along the points; 0: the polygons are filled.
            grain: float32 texture of the canvas's shape, 0 to 1, that multiplies the opacity.
        """
        if opacity <= 0.01:
            return
        margin = int(FINER * (2.5 * softness + line / 2)) + 2
        flat = shapes.reshape(-1, 2)
        left, top = (max(int(value * FINER) - margin, 0) for value in flat.min(0))
        right = min(int(flat[:, 0].max() * FINER) + margin + 2, CANVAS_WIDTH)
        bottom = min(int(flat[:, 1].max() * FINER) + margin + 2, CANVAS_HEIGHT)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        local = _fixed(shapes, (left, top))
        if line:
            cv2.polylines(mask, local, False, 255, _thickness(line), cv2.LINE_AA, _SHIFT)
        else:
            cv2.fillPoly(mask, local, 255, cv2.LINE_AA, _SHIFT)
        if softness:
            side = 2 * max(1, round(2.45 * softness * FINER) - 1) + 1  # of a triangular kernel with this deviation
            mask = cv2.stackBlur(mask, (side, side))
        region = self.image[top:bottom, left:right]
        alpha = cv2.multiply(mask, min(opacity, 1.0) / 255, dtype=cv2.CV_32F)
        if grain is not None:
            alpha *= grain[top:bottom, left:right]
        paint, blend = (buffer[: region.size].reshape(region.shape) for buffer in self._buffers)
        cv2.rectangle(paint, (0, 0), (right - left, bottom - top), colour, cv2.FILLED)
        region[:] = cv2.blendLinear(paint, region, alpha, 1 - alpha, blend)

    def finished(self) -> NDArray[np.uint8]:
        """The image at its final size."""
        return np.asarray(cv2.resize(self.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def _fixed(shapes: Points, origin: tuple[int, int] = (0, 0)) -> list[NDArray[np.int32]]:
    """Final pixels to fixed-point pixels of the canvas from an origin; centres are whole numbers on both."""
    fine = (shapes * FINER + (0.5 * FINER - 0.5 - origin[0], 0.5 * FINER - 0.5 - origin[1])) * (1 << _SHIFT)
    whole = np.rint(fine).astype(np.int32)
    return [whole] if whole.ndim == 2 else list(whole)


def _thickness(width: float) -> int:
    return max(1, round(width * FINER))
