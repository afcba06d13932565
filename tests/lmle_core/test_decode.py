"""Decoding refuses what is damaged; cropping and resizing do what a slow loop does."""

import io
from typing import Literal

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from lmle_core.decode import Geometry, centre_window, decode, fit, load, reduction
from lmle_core.faces.files import render
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB")])
def test_the_orientation_of_a_camera_is_applied_as_pillow_does(form: str, mode: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(form, mode, exif=tags)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    assert expected.shape == ((44, 36, 3) if orientation < 5 else (36, 44, 3))
    assert np.abs(decode(data).astype(int) - expected).max() <= 1
    geometry = Geometry(16, 12, "centre")  # not to scale, and far smaller: decoded at half size
    stored = load(data, geometry).astype(int)
    assert np.abs(stored - fit(expected.astype(np.uint8), *geometry)).mean() < 6


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_tags_that_cannot_be_read_turn_nothing() -> None:
    data = encoded("JPEG", quality=95)
    junk = b"Exif\0\0MM\0\x2a\xff\xff\xff\xff"
    tagged = data[:2] + b"\xff\xe1" + (len(junk) + 2).to_bytes(2) + junk + data[2:]
    assert np.array_equal(decode(tagged), decode(data))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_whose_tags_are_damaged_is_taken(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    pixels = decode(encoded(form, exif=b"Exif\0\0garbage!", **options))
    assert np.abs(pixels.astype(int) - picture(1)).mean() < 3


CLOSED = b"\xff\xd9"
"""A JPEG's end: a progressive one that is cut between two scans and closed is a whole one, of less quality."""


@pytest.mark.parametrize(
    ("form", "mode", "options", "ends"),
    [
        ("JPEG", "RGB", {}, (b"", bytes(64), CLOSED, bytes(64) + CLOSED)),
        ("JPEG", "L", {}, (b"", bytes(64), CLOSED, bytes(64) + CLOSED)),
        ("JPEG", "CMYK", {}, (b"", bytes(64), CLOSED, bytes(64) + CLOSED)),
        ("JPEG", "RGB", {"progressive": True}, (b"", bytes(64))),
        ("PNG", "RGB", {}, (b"", bytes(64))),
    ],
)
def test_a_truncated_file_is_refused_wherever_it_is_cut(
    form: str, mode: str, options: dict[str, object], ends: tuple[bytes, ...]
) -> None:
    whole = encoded(form, mode, **options)
    for end in ends:
        for kept in range(len(whole) - (len(CLOSED) if CLOSED in end else 0)):
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
    with pytest.raises(ValueError, match=r"^61440 x 61440 pixels are more than"):
        decode(bytes(data))


def test_more_than_eight_bits_are_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(buffer, "PNG")
    with pytest.raises(ValueError, match=r"^expected 8 bits a channel, found Pillow's mode I;16"):
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
    return np.einsum("ah,hwc,bw->cab", rows, image.astype(np.float64), columns, optimize=True)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 10), (44, 36), (22, 18)])
def test_shrinking_to_half_or_less_averages_areas(height: int, width: int) -> None:
    image = picture(7)
    cut = image[centre_window(44, 36, height, width)]
    assert np.abs(fit(image, height, width, "centre") - area_mean(cut, height, width)).max() <= 1
    assert np.abs(fit(image, height, width, "none") - area_mean(image, height, width)).max() <= 1


def linear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every output pixel lies between the input pixels around its centre, in float64."""

    def weights(size: int, wanted: int) -> np.ndarray:
        matrix = np.zeros((wanted, size))
        for out in range(wanted):
            place = min(max((out + 0.5) * size / wanted - 0.5, 0.0), size - 1.0)
            below = min(int(place), size - 2)
            matrix[out, below], matrix[out, below + 1] = below + 1 - place, place - below
        return matrix

    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.einsum("ah,hwc,bw->cab", rows, image.astype(np.float64), columns, optimize=True)


@pytest.mark.parametrize(("height", "width"), [(23, 19), (30, 30), (44, 35), (90, 70), (20, 50)])
def test_less_shrinking_and_enlarging_interpolate(height: int, width: int) -> None:
    image = picture(7)
    assert np.abs(fit(image, height, width, "none") - linear(image, height, width)).max() <= 1


SIZES = st.integers(1, 50) | st.integers(1, 50).map(lambda n: 8 * n)


@given(h=SIZES, w=SIZES, height=st.integers(1, 60), width=st.integers(1, 60), crop=st.sampled_from(["centre", "none"]))
def test_a_reduced_image_has_whole_pixels_and_enough_of_them(
    h: int, w: int, height: int, width: int, crop: Literal["centre", "none"]
) -> None:
    factor = reduction(h, w, Geometry(height, width, crop))
    assert factor in (1, 2, 4, 8)
    if factor == 1:
        return
    assert h % factor == w % factor == 0
    if crop == "none":
        assert h // factor >= height
        assert w // factor >= width
        return
    for whole, reduced, least in zip(
        centre_window(h, w, height, width),
        centre_window(h // factor, w // factor, height, width),
        (height, width),
        strict=True,
    ):
        assert (whole.start, whole.stop) == (factor * reduced.start, factor * reduced.stop)
        assert reduced.stop - reduced.start >= least


def test_celebas_size_is_halved_where_that_is_enough() -> None:
    assert reduction(218, 178, Geometry(64, 64, "centre")) == 2
    assert reduction(218, 178, Geometry(89, 89, "centre")) == 2
    assert reduction(218, 178, Geometry(90, 90, "centre")) == 1
    assert reduction(217, 178, Geometry(64, 64, "centre")) == 1
    assert reduction(512, 512, Geometry(64, 64, "none")) == 8


def shift(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """By how many pixels, down and across, a picture (3, H, W) lies beside another one: least squares."""
    slopes = np.stack([slope.ravel() for slope in np.gradient(expected.mean(0))], axis=1)
    return np.linalg.lstsq(slopes, (expected - found).mean(0).ravel())[0]


@pytest.mark.parametrize("geometry", [Geometry(64, 64, "centre"), Geometry(89, 89, "centre"), Geometry(48, 56, "none")])
@pytest.mark.parametrize("sampling", ["444", "420"])
def test_a_reduced_jpeg_is_the_area_average_of_the_whole_one(geometry: Geometry, sampling: str) -> None:
    height, width, crop = geometry
    found, expected = [], []
    for i in range(8):
        data = simplejpeg.encode_jpeg(render(0, i), 90, "RGB", sampling)
        image = decode(data)
        assert decode(data, geometry).shape == (109, 89, 3)
        window = centre_window(*image.shape[:2], height, width) if crop == "centre" else (slice(None), slice(None))
        expected.append(area_mean(image[window], height, width))
        found.append(load(data, geometry).astype(np.float64))
    errors = np.stack(found) - np.stack(expected)
    assert 10 * np.log10(255**2 / np.square(errors).mean()) > 38  # decibels
    assert abs(errors.mean()) < 0.3
    shifts = [shift(one, other) for one, other in zip(found, expected, strict=True)]
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.02


def test_a_refused_file_leaves_the_place_of_its_image_alone() -> None:
    geometry = Geometry(22, 18, "centre")
    planes = np.full((2, 3, 22, 18), 7, np.uint8)
    data = jpeg(3)
    assert decode(data, geometry).shape == (22, 18, 3)
    with pytest.raises(ValueError, match="truncated"):
        load(data[:-40], geometry, out=planes[0])
    assert (planes == 7).all()
    assert load(data, geometry, out=planes[1]) is not None
    assert np.array_equal(planes[1], load(data, geometry))
    assert (planes[0] == 7).all()
