"""Decoding refuses what is damaged; cropping and resizing do what a slow loop does."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lmle_core.decode import centre_window, decode, fit
from tests.lmle_core.celeba.small import jpeg, picture


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(1)).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_files_keep_their_pixels(form: str) -> None:
    assert np.array_equal(decode(encoded(form)), picture(1))


@pytest.mark.parametrize(("mode", "options"), [("RGB", {}), ("RGB", {"progressive": True}), ("CMYK", {})])
def test_jpeg_keeps_the_picture(mode: str, options: dict[str, object]) -> None:
    pixels = decode(encoded("JPEG", mode, quality=95, subsampling=0, **options))
    assert pixels.shape == (44, 36, 3)
    assert np.abs(pixels.astype(int) - picture(1)).mean() < 3


def test_grey_images_get_three_equal_channels() -> None:
    for data in (encoded("JPEG", "L"), encoded("PNG", "L")):
        pixels = decode(data)
        assert pixels.shape == (44, 36, 3)
        assert (pixels == pixels[:, :, :1]).all()


def test_the_two_jpeg_decoders_agree() -> None:
    data = jpeg(3)
    other = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data).astype(int) - other).max() <= 1


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(["baseline", "progressive", "grey", "cmyk", "PNG"]),
    share=st.floats(0.0, 0.999),
    end=st.sampled_from([b"", b"\xff\xd9", b"\0" * 64, b"\0" * 64 + b"\xff\xd9"]),
)
def test_a_truncated_file_is_refused(form: str, share: float, end: bytes) -> None:
    whole = {
        "baseline": lambda: encoded("JPEG"),
        "progressive": lambda: encoded("JPEG", progressive=True),
        "grey": lambda: encoded("JPEG", "L"),
        "cmyk": lambda: encoded("JPEG", "CMYK"),
        "PNG": lambda: encoded("PNG"),
    }[form]()
    # The last bytes of the scan may be mere padding: what is cut off with a false end in its place is 16 at least.
    kept = min(int(share * len(whole)), len(whole) - (16 if end else 1))
    with pytest.raises(ValueError, match=r"truncated|empty|not an image"):
        decode(whole[:kept] + end)


@pytest.mark.parametrize("data", [b"", b"junk", b"\xff\xd8\xff", b"\x89PNG\r\n", bytes(1000)])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"truncated|empty|not an image"):
        decode(data)


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken() -> None:
    data = bytearray(encoded("JPEG"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = b"\xf0\x00\xf0\x00"
    with pytest.raises(ValueError, match="61440 x 61440 pixels are more than"):
        decode(bytes(data))


def test_more_than_eight_bits_are_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(buffer, "PNG")
    with pytest.raises(ValueError, match="8 bits a channel, found Pillow's mode I;16"):
        decode(buffer.getvalue())


@given(h=st.integers(1, 400), w=st.integers(1, 400), height=st.integers(1, 200), width=st.integers(1, 200))
def test_the_window_is_inside_centred_and_as_large_as_its_ratio_allows(h: int, w: int, height: int, width: int) -> None:
    rows, columns = centre_window(h, w, height, width)
    tall, wide = rows.stop - rows.start, columns.stop - columns.start
    assert 0 <= rows.start < rows.stop <= h
    assert 0 <= columns.start < columns.stop <= w
    assert tall == h or wide == w
    assert abs(rows.start - (h - rows.stop)) <= 1
    assert abs(columns.start - (w - columns.stop)) <= 1
    if tall < h:
        assert abs(tall - w * height / width) <= 1
    if wide < w:
        assert abs(wide - h * width / height) <= 1


def area_mean(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every output pixel is the mean over its rectangle of the input, in float64."""

    def weights(size: int, wanted: int) -> np.ndarray:
        matrix = np.zeros((wanted, size))
        for out in range(wanted):
            lo, hi = out * size / wanted, (out + 1) * size / wanted
            for source in range(size):
                matrix[out, source] = max(0.0, min(hi, source + 1) - max(lo, source)) * wanted / size
        return matrix

    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.einsum("ah,hwc,bw->cab", rows, image.astype(np.float64), columns)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 33), (44, 36), (22, 18)])
def test_shrinking_averages_areas(height: int, width: int) -> None:
    image = picture(7)
    cut = image[centre_window(44, 36, height, width)]
    assert np.abs(fit(image, height, width, "centre") - area_mean(cut, height, width)).max() <= 1
    assert np.abs(fit(image, height, width, "none") - area_mean(image, height, width)).max() <= 1


def test_enlarging_keeps_the_range() -> None:
    image = picture(7)
    enlarged = fit(image, 90, 70, "none")
    assert enlarged.shape == (3, 90, 70)
    assert np.array_equal(enlarged, cv2.resize(image, (70, 90), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1))
