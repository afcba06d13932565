"""What strangers send: every image file arrives as it was, and nothing is read that is not to be."""

import base64
import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lmle_core.payload import MOST_PIXELS, check_image, file_bytes, sent_bytes, served_root


def encoded(kind: str, width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 40)).save(file, kind)
    return file.getvalue()


def png_that_promises(width: int, height: int) -> bytes:
    """A PNG file of some bytes whose header says that it is larger."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    return body + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)) + encoded("PNG")[-12:]


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_base64_arrives_as_it_was_sent_and_truncated_base64_never_as_something_else(data: bytes) -> None:
    assert sent_bytes(data) == data
    assert sent_bytes(base64.b64encode(data).decode()) == data
    assert sent_bytes(base64.encodebytes(data).decode()) == data  # lines, as MLflow writes them
    text = base64.b64encode(data).decode()
    for cut in (1, 2, 3):
        if len(text) > cut:
            with pytest.raises(ValueError, match="truncated or damaged base64"):
                sent_bytes(text[:-cut])


@pytest.mark.parametrize("value", ["&%!", "äöü=", None, 3.5, ["x"]])
def test_what_is_no_base64_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="base64"):
        sent_bytes(value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_pixels_are_counted(kind: str) -> None:
    assert check_image(encoded(kind)) == 48


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"no image at all", "not an image of JPEG, PNG, WEBP, BMP (starts with b'no image')"),
        (encoded("TIFF"), "not an image of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of"),
        (encoded("PNG")[:20], "image"),
        (png_that_promises(5001, 5000), f"5000 x 5001 pixels are more than {MOST_PIXELS:,}"),
        (png_that_promises(12_000, 12_000), f"more than {MOST_PIXELS:,} pixels"),
        (png_that_promises(60_000, 60_000), f"more than {MOST_PIXELS:,} pixels"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused_undecoded(data: bytes, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_image(data)
    assert message in str(refused.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A served folder, with secrets beside it and links that lead there."""
    served = tmp_path / "served"
    (served / "more").mkdir(parents=True)
    (served / "face.jpg").write_bytes(b"a face")
    (served / "more" / "face.jpg").write_bytes(b"another face")
    (tmp_path / "secret").write_bytes(b"a secret")
    (tmp_path / "served-too").mkdir()
    (tmp_path / "served-too" / "secret").write_bytes(b"a secret")
    (served / "inside.jpg").symlink_to("more/face.jpg")
    (served / "outside.jpg").symlink_to("../secret")
    (served / "outside").symlink_to("..")
    (served / "circle").symlink_to("circle")
    os.mkfifo(served / "pipe")
    found = served_root(str(served))
    assert found is not None
    return found


def test_files_below_the_root_are_read(root: Path) -> None:
    assert file_bytes("face.jpg", root) == b"a face"
    assert file_bytes(str(root / "face.jpg"), root) == b"a face"
    for path in ("more/face.jpg", "./more//face.jpg", "more/../more/face.jpg", "inside.jpg"):
        assert file_bytes(path, root) == b"another face"


@pytest.mark.parametrize(
    "path",
    [
        "../secret", "../no such file", "more/../../secret", "/etc/passwd", "/etc/no such file", "outside.jpg",
        "outside/secret", "../served-too/secret", "../served/../secret", "~/secret", "file:///etc/passwd", "circle",
        "pipe", "more", ".", "", "no such file", "face.jpg\0.png", "x" * 5000, None, 7,
    ],
)  # fmt: skip
def test_nothing_else_is_read_and_nothing_is_told(root: Path, path: object) -> None:
    with pytest.raises(ValueError) as refused:
        file_bytes(path, root)
    assert str(root) not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_outside_it_is_not_told_whether_there_is_a_file(root: Path) -> None:
    told = set()
    for path in ("../secret", "../no such file", "/etc/passwd", "/no/such/file"):
        with pytest.raises(ValueError) as refused:
            file_bytes(path, root)
        told.add(str(refused.value))
    assert told == {"the path leads outside LMLE_SERVE_ROOT"}


def test_without_a_root_no_file_is_read(root: Path) -> None:
    assert served_root(None) is None
    assert served_root("") is None
    with pytest.raises(ValueError, match="this server reads no files"):
        file_bytes(str(root / "face.jpg"), None)
    with pytest.raises(ValueError, match="expected a folder"):
        served_root(str(root / "face.jpg"))
