"""From an image file's bytes to stored pixels: decode all of it or refuse, crop, resize."""

import io
from functools import lru_cache
from typing import Literal, NamedTuple

import cv2
import numpy as np
import simplejpeg

JPEG = b"\xff\xd8\xff"
PNG, PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"
INKS = ("CMYK", "YCCK")
EXIF, ORIENTATION = b"Exif\0\0", 0x0112
QUARTERS = {3: 2, 4: 2, 5: -1, 6: -1, 7: 1, 8: 1}
"""Quarter turns, anticlockwise, that set an image of this orientation upright, before `MIRRORED` ones are mirrored."""
MIRRORED = (2, 4, 5, 7)
MOST_PIXELS = 100_000_000
"""A damaged header may promise any size."""


class RefusedImageError(ValueError):
    """An image that is whole, and of a kind that is not taken."""


class Geometry(NamedTuple):
    """What a stored image looks like.

    Attributes:
        height: in pixels.
        width: in pixels.
        crop: 'centre': cut to the largest centred window of the wanted aspect ratio first; 'none': stretch.
    """

    height: int
    width: int
    crop: Literal["centre", "none"]


def load(data: bytes, geometry: Geometry, out: np.ndarray | None = None) -> np.ndarray:
    """What is stored of an image file, which follows from its bytes and the geometry alone.

    A JPEG that shrinks to half or less is decoded at half size, from half of each block's frequencies, which takes
    less time than the whole of it and its area average.

    Args:
        data: the file.
        geometry: of the stored image.
        out: where to write to, uint8 (3, height, width), contiguous; it is untouched if the file is refused.

    Returns:
        RGB, shape (3, height, width), uint8.

    Raises:
        ValueError: as `decode`.
    """
    return fit(decode(data, geometry), *geometry, out=out)


def decode(data: bytes, geometry: Geometry | None = None) -> np.ndarray:
    """Decode an image file.

    Args:
        data: the file: JPEG, or anything else that Pillow reads.
        geometry: what the image is decoded for; None: its whole size is wanted.

    Returns:
        RGB, shape (h, w, 3), uint8, upright as the camera's orientation tag (Exif 2.3, 0x0112) has it; at 1/2, 1/4
        or 1/8 of the size where `reduction` allows it.

    Raises:
        ValueError: with the reason, if the file is truncated, damaged or no image; of a kind that is not taken,
            `RefusedImageError`.
    """
    if not data:
        raise ValueError("the file is empty")
    return _decode_jpeg(data, geometry) if data.startswith(JPEG) else _decode_other(data)


def _decode_jpeg(data: bytes, geometry: Geometry | None) -> np.ndarray:
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        _check_size(height, width)
        orientation = _orientation(data)
        if geometry is not None and orientation >= 5:  # lies on its side
            geometry = Geometry(geometry.width, geometry.height, geometry.crop)
        factor = 1 if geometry is None else reduction(height, width, geometry)
        pixels = simplejpeg.decode_jpeg(
            data,
            colorspace="CMYK" if space in INKS else "RGB",
            min_height=height // factor,
            min_width=width // factor,
            strict=True,  # or a truncated file decodes to a grey lower part
        )
    except KeyError:  # simplejpeg's, for a header that names no colour space
        raise ValueError("truncated or damaged JPEG: its header cannot be read") from None
    except RefusedImageError:
        raise
    except ValueError as error:
        raise ValueError(f"truncated or damaged JPEG: {error}") from None
    return _decode_other(data) if space in INKS else _upright(pixels, orientation)


def _orientation(data: bytes) -> int:
    """The orientation tag of a JPEG: 1 to 8, 1 where there is none, or none that can be read."""
    if data.find(EXIF, 0, 1 << 16) < 0:
        return 1
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # the picture may be whole where its tags are not
        return 1
    return found if found in range(1, 9) else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turned = np.rot90(pixels, QUARTERS.get(orientation, 0))
    return np.ascontiguousarray(turned[:, ::-1] if orientation in MIRRORED else turned)


def _decode_other(data: bytes) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if data.startswith(PNG) and PNG_END not in data:
        raise ValueError("truncated PNG: it has no end")
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_size(image.height, image.width)
            if image.mode.startswith(("I", "F")):
                raise RefusedImageError(f"expected 8 bits a channel, found Pillow's mode {image.mode}")
            image.load()
            try:
                upright = ImageOps.exif_transpose(image)
            except Exception:  # the picture is whole where its tags are not
                upright = image
            return np.array(upright.convert("RGB"))
    except UnidentifiedImageError:
        raise ValueError(f"not an image (starts with {data[:8]!r})") from None
    except (MemoryError, RefusedImageError):
        raise
    except Exception as error:  # damaged files make Pillow's readers raise errors of many kinds
        raise ValueError(f"truncated or damaged image: {error}") from None


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise RefusedImageError(f"{height} x {width} pixels are more than {MOST_PIXELS}")


@lru_cache
def reduction(h: int, w: int, geometry: Geometry) -> int:
    """By how much a JPEG of (h, w) may shrink while it is decoded: 8, 4, 2, or 1 for not at all.

    What is left is no smaller than the stored image, and the image and its window have whole pixels, so that nothing
    shifts.
    """
    height, width, crop = geometry
    rows, columns = centre_window(h, w, height, width) if crop == "centre" else (slice(0, h), slice(0, w))
    edges = (h, w, rows.start, rows.stop, columns.start, columns.stop)
    for factor in (8, 4, 2):
        if (
            rows.stop - rows.start >= factor * height
            and columns.stop - columns.start >= factor * width
            and not any(edge % factor for edge in edges)
        ):
            return factor
    return 1


def fit(
    image: np.ndarray, height: int, width: int, crop: Literal["centre", "none"], out: np.ndarray | None = None
) -> np.ndarray:
    """Crop and resize an image.

    Args:
        image: shape (h, w, 3), uint8.
        height: wanted height in pixels.
        width: wanted width in pixels.
        crop: as in `Geometry`.
        out: where to write to, uint8 (3, height, width), contiguous.

    Returns:
        Shape (3, height, width), uint8: pixel areas averaged where the image shrinks to half or less, else linear
        interpolation, which then reads every pixel too.
    """
    if crop == "centre":
        image = image[centre_window(image.shape[0], image.shape[1], height, width)]
    h, w, _ = image.shape
    if (h, w) != (height, width):
        halves = h >= height and w >= width and (h >= 2 * height or w >= 2 * width)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if halves else cv2.INTER_LINEAR)
    planes = np.empty((3, height, width), np.uint8) if out is None else out
    cv2.split(image, [*planes])
    return planes


@lru_cache
def centre_window(h: int, w: int, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the largest centred window of (h, w) with the aspect ratio of (height, width)."""
    rows = min(h, max(1, round(w * height / width)))
    columns = min(w, max(1, round(h * width / height)))
    top, left = (h - rows) // 2, (w - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)
