"""The canvas: anti-aliased polygons and strokes with sub-pixel corners, and soft, half-transparent glazes.

Coordinates are in the final image's pixels; the canvas itself is finer and is averaged down at the end.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from lmle_core.faces.anatomy import HEIGHT, WIDTH, Points
from lmle_core.faces.person import Colour

FINER = 2
"""Canvas pixels to a final pixel, each way."""

_SHIFT = 4  # binary digits behind the point


class Canvas:
    """An image that is being painted.

    Attributes:
        image: uint8 (218 · FINER, 178 · FINER, 3), RGB.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image

    def fill(self, points: Points, colour: Colour) -> None:
        """Paint a polygon, opaque."""
        cv2.fillPoly(self.image, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)

    def stroke(self, points: Points, colour: Colour, width: float, closed: bool = False) -> None:
        """Paint a line along the points, opaque, `width` pixels wide."""
        cv2.polylines(self.image, [_fixed(points)], closed, colour, max(1, round(width * FINER)), cv2.LINE_AA, _SHIFT)

    def strokes(self, lines: list[Points], colour: Colour, width: float) -> None:
        """Paint many lines of one colour."""
        cv2.polylines(
            self.image, [_fixed(points) for points in lines], False, colour, max(1, round(width * FINER)), cv2.LINE_AA,
            _SHIFT,
        )  # fmt: skip

    def glaze(
        self,
        points: Points,
        colour: Colour,
        opacity: float,
        softness: float = 0.0,
        line: float = 0.0,
        grain: NDArray[np.float32] | None = None,
    ) -> None:
        """Lay a colour over a polygon, or along a line, half transparent and with soft edges.

        Args:
            points: (n, 2).
            colour: of the glaze.
            opacity: 0 to 1 in the middle.
            softness: standard deviation of the edge's blur, in pixels.
            line: width of a line along the points; 0: the polygon is filled.
            grain: float32 texture of the canvas's shape, 0 to 1, that multiplies the opacity.
        """
        if opacity <= 0.004:
            return
        margin = int(FINER * (3 * softness + line)) + 2
        height, width = self.image.shape[:2]
        low = np.maximum(np.floor(points.min(0) * FINER).astype(int) - margin, 0)
        high = np.minimum(np.ceil(points.max(0) * FINER).astype(int) + margin + 1, (width, height))
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        local = _fixed(points) - (low.astype(np.int32) << _SHIFT)
        if line:
            cv2.polylines(mask, [local], False, 255, max(1, round(line * FINER)), cv2.LINE_AA, _SHIFT)
        else:
            cv2.fillPoly(mask, [local], 255, cv2.LINE_AA, _SHIFT)
        if softness:
            mask = cv2.GaussianBlur(mask, (0, 0), softness * FINER)
        region = self.image[low[1] : high[1], low[0] : high[0]]
        alpha = mask.astype(np.float32) * (min(opacity, 1.0) / 255)
        if grain is not None:
            alpha *= grain[low[1] : high[1], low[0] : high[0]]
        base = region.astype(np.float32)
        base += alpha[:, :, None] * (np.array(colour, np.float32) - base)
        region[:] = np.rint(base)

    def finished(self) -> NDArray[np.uint8]:
        """The image at its final size."""
        return np.asarray(cv2.resize(self.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def _fixed(points: Points) -> NDArray[np.int32]:
    """Final pixels to the canvas's fixed-point coordinates; pixel centres are whole numbers on both."""
    return np.rint(((points + 0.5) * FINER - 0.5) * (1 << _SHIFT)).astype(np.int32)
