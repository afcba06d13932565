"""What a client of a served model may send: an image file in base64, or the path of one below the served folder."""

import base64
import binascii
import io
import os
import stat
from pathlib import Path

ROOT_VARIABLE = "LMLE_SERVE_ROOT"
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Strangers' files are read in these alone: Pillow knows others, and some of them run programs."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Names of files of these formats end so."""
MOST_ROWS = 1024
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 25_000_000
"""A file of a few kilobytes may promise gigabytes of pixels."""


def served_root(value: str | None) -> Path | None:
    """The folder below which files are read, of LMLE_SERVE_ROOT's value; None where it is unset: no file is read.

    Raises:
        ValueError: if it is no folder.
    """
    if not value:
        return None
    root = Path(value).resolve()
    if not root.is_dir():
        raise ValueError(f"{ROOT_VARIABLE}={value}: expected a folder; unset it to read no files at all")
    return root


def sent_bytes(value: object) -> bytes:
    """The image file that a request holds: base64, with line breaks or without; bytes are taken as they are.

    Raises:
        ValueError: for anything else, truncated base64 among it.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected an image file in base64, found {type(value).__name__}")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"truncated or damaged base64: {error}") from None


def file_bytes(value: object, root: Path | None) -> bytes:
    """The image file at a path that a request names.

    Args:
        value: the path, relative to the root, or absolute and below it.
        root: see `served_root`.

    Raises:
        ValueError: for a path that leads outside, also by a symbolic link, and for what is no readable file. The
            message tells nothing of what lies outside, nor where the root is.
    """
    if root is None:
        raise ValueError(f"this server reads no files: send the image itself, or start the server with {ROOT_VARIABLE}")
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected the path of an image file")
    try:
        path = (root / value).resolve()
    except (OSError, RuntimeError):  # links in a circle
        path = Path("/")
    if not path.is_relative_to(root):
        raise ValueError(f"the path leads outside {ROOT_VARIABLE}")
    try:
        with open(path, "rb", opener=_carefully) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("cannot be read: it is no file")
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def check_image(data: bytes) -> int:
    """How many pixels an image file promises, found without decoding it.

    Raises:
        ValueError: if it is empty, no image of `FORMATS`, or over `MOST_BYTES` or `MOST_PIXELS`.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise ValueError("the file is empty")
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 2**20} MiB")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except UnidentifiedImageError:
        raise ValueError(f"not an image of {', '.join(FORMATS)} (starts with {data[:8]!r})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"more than {MOST_PIXELS:,} pixels") from None
    except Exception as error:  # damaged headers make Pillow's readers raise errors of many kinds
        raise ValueError(f"damaged image: {error}") from None
    if width * height > MOST_PIXELS:
        raise ValueError(f"{height} x {width} pixels are more than {MOST_PIXELS:,}")
    return width * height


def _carefully(path: str, flags: int) -> int:
    """No link may have taken the place of the file meanwhile, and no pipe be waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
