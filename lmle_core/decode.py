"""From an image file's bytes to stored pixels: decode all of it or refuse, crop, resize."""

import io
from typing import Literal

import cv2
import numpy as np
import simplejpeg

JPEG = b"\xff\xd8\xff"
PNG, PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"
INKS = ("CMYK", "YCCK")
MOST_PIXELS = 100_000_000
"""A damaged header may promise any size."""


def decode(data: bytes) -> np.ndarray:
    """Decode an image file.

    Args:
        data: the file: JPEG, or anything else that Pillow reads.

    Returns:
        RGB, shape (h, w, 3), uint8. Orientation tags are not applied: CelebA has none.

    Raises:
        ValueError: with the reason, if the file is truncated, damaged or no image.
    """
    if not data:
        raise ValueError("the file is empty")
    return _decode_jpeg(data) if data.startswith(JPEG) else _decode_other(data)


def _decode_jpeg(data: bytes) -> np.ndarray:
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        _check_size(height, width)
        # Strict, or a truncated file decodes to a grey lower part.
        pixels = simplejpeg.decode_jpeg(data, colorspace="CMYK" if space in INKS else "RGB", strict=True)
    except KeyError:  # simplejpeg's, for a header that names no colour space
        raise ValueError("truncated or damaged JPEG: its header cannot be read") from None
    except ValueError as error:
        raise ValueError(f"truncated or damaged JPEG: {error}") from None
    return _decode_other(data) if space in INKS else pixels


def _decode_other(data: bytes) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    if data.startswith(PNG) and PNG_END not in data:
        raise ValueError("truncated PNG: it has no end")
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_size(image.height, image.width)
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"expected 8 bits a channel, found Pillow's mode {image.mode}")
            return np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        raise ValueError(f"not an image (starts with {data[:8]!r})") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged files make Pillow's readers raise errors of many kinds
        raise ValueError(f"truncated or damaged image: {error}") from None


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise ValueError(f"{height} x {width} pixels are more than {MOST_PIXELS}")


def fit(image: np.ndarray, height: int, width: int, crop: Literal["centre", "none"]) -> np.ndarray:
    """Crop and resize an image.

    Args:
        image: shape (h, w, 3), uint8.
        height: wanted height in pixels.
        width: wanted width in pixels.
        crop: 'centre': cut to the largest centred window of the wanted aspect ratio first; 'none': stretch.

    Returns:
        Shape (3, height, width), uint8: pixel areas averaged where the image shrinks, else linear interpolation.
    """
    if crop == "centre":
        image = image[centre_window(image.shape[0], image.shape[1], height, width)]
    if image.shape[:2] != (height, width):
        shrinks = image.shape[0] >= height and image.shape[1] >= width
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image.transpose(2, 0, 1)


def centre_window(h: int, w: int, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the largest centred window of (h, w) with the aspect ratio of (height, width)."""
    rows = min(h, max(1, round(w * height / width)))
    columns = min(w, max(1, round(h * width / height)))
    top, left = (h - rows) // 2, (w - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)
