"""Digits: real handwriting rotated over real photographs, ten classes, half of them reduced by a share.

    view = b + α (ink − b),  b = level + s (window − mean of the window)

The digits are scikit-learn's 1,797 of 8×8 pixels and the backgrounds b are windows of its two photographs: nothing is
downloaded. α in [0, 1] is the digit, upsampled, rotated over the full circle, scaled and shifted; s bounds the standard
deviation of the background.

Source: after MNIST-rot-back-image (Larochelle et al., An Empirical Evaluation of Deep Architectures on Problems with
Many Factors of Variation, ICML 2007), as Huang et al. (CVPR 2016) make it imbalanced.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lmle_core.store import TEST, TRAIN, VALID

CLASSES = 10
SIDE = 28
"""Height and width of a view, in pixels."""
LEAST_SOURCES = 2
"""Source digits that every class keeps."""
_HELD_OUT = {VALID: 0.15, TEST: 0.25}
_SPLIT, _REDUCED, _REMOVED, _VIEW = 1, 2, 3, 4  # streams of draws
_STRIPS = 6  # of each photograph, side by side: two for each split
_GLYPH = 64  # pixels of an upsampled source digit, 8 for each of its own
_MOST_GAIN = 2.0  # a flat window stays flatter: noise of the photograph is no clutter


@dataclass(frozen=True)
class Scene:
    """How a source digit becomes views; what makes them hard. Ranges are drawn from uniformly.

    Attributes:
        views: images of each source digit in the training, validation and test split.
        height: of the digit's eight rows, least and most, in pixels.
        shift: most of the digit's centre off the image's, on each axis, in pixels.
        level: mean brightness of the background, least and most, 0 to 255.
        windows: drawn for each background; the one with the most contrast is taken, since much of a photograph is flat.
        clutter: largest standard deviation of the background over pixels and channels, in units of brightness.
        ink: brightness of the digit above the mean of its background, least and most.
    """

    views: tuple[int, int, int] = (6, 4, 4)
    height: tuple[float, float] = (17.0, 22.0)
    shift: float = 2.0
    level: tuple[float, float] = (70.0, 130.0)
    windows: int = 3
    clutter: float = 40.0
    ink: tuple[float, float] = (40.0, 100.0)


@dataclass(frozen=True, eq=False)
class DigitImages:
    """Views of source digits: n images, in the order of their source digit and view.

    Attributes:
        images: shape (n, 3, 28, 28), uint8, RGB.
        labels: the digit, shape (n, 1), int8, 0 to 9.
        split: shape (n,), int8: 0 train, 1 valid, 2 test.
        sources: which source digit an image shows, shape (n,), int32. Views of one digit are not independent.
        names: n file names, of source digit and view.
        reduced: the five classes of which source digits are removed.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int8]
    split: NDArray[np.int8]
    sources: NDArray[np.int32]
    names: tuple[str, ...]
    reduced: tuple[int, ...]


def draw_digits(seed: int, removed: float, scene: Scene | None = None) -> DigitImages:
    """Draw the data set of a seed: which five classes are reduced, which of their digits are kept, and all views.

    Source digits are split before anything is drawn, in each class 60 % train, 15 % valid, 25 % test, and this split is
    the same for every seed: what is chosen on the validation digits of one seed has met the test digits of none. The
    backgrounds of the three splits come from disjoint strips of the photographs.

    Validation and test stay balanced, as the paper's test is: the training prior is not theirs, and whatever is
    calibrated on the validation split sees that alike.

    Args:
        seed: of every draw; view v of source digit i follows from (seed, i, v) and the scene alone.
        removed: share of the reduced classes' training source digits that is removed with all views, in [0, 1).
        scene: how the views look; None: `Scene()`.

    Raises:
        ValueError: as `kept_sources`, or if a split has no views.
    """
    scene = scene or Scene()
    if min(scene.views) < 1:
        raise ValueError(f"scene.views: expected at least 1 for each of train, valid and test, got {scene.views}")
    glyphs, classes = _source_digits()
    of_source = source_split()
    kept, reduced = kept_sources(seed, removed)
    shown = [(i, v) for i in np.flatnonzero(kept).tolist() for v in range(scene.views[of_source[i]])]
    images = np.empty((len(shown), 3, SIDE, SIDE), np.uint8)
    for row, (i, v) in enumerate(shown):
        draws = np.random.default_rng((seed, _VIEW, i, v))
        images[row] = _view(glyphs[i], _background(int(of_source[i]), scene, draws), scene, draws)
    sources = np.array([i for i, _ in shown], np.int32)
    return DigitImages(
        images=images,
        labels=classes[sources][:, None],
        split=of_source[sources],
        sources=sources,
        names=tuple(f"{i:04d}-{v}.png" for i, v in shown),
        reduced=reduced,
    )


def digit_sheet(digits: DigitImages, columns: int = 16, scale: int = 2) -> NDArray[np.uint8]:
    """One row for each class, one column for each of its first training source digits: uint8 (h, w, 3), RGB.

    Args:
        digits: what is shown; the first view of each source digit.
        columns: source digits in a row; a class that has fewer leaves white.
        scale: by how much a view is enlarged.
    """
    gap = 2
    step = SIDE * scale + gap
    sheet = np.full((CLASSES * step + gap, columns * step + gap, 3), 255, np.uint8)
    _, first = np.unique(digits.sources, return_index=True)
    for label in range(CLASSES):
        rows = first[(digits.labels[first, 0] == label) & (digits.split[first] == TRAIN)][:columns]
        for column, row in enumerate(rows.tolist()):
            view = digits.images[row].transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1)
            top, left = label * step + gap, column * step + gap
            sheet[top : top + SIDE * scale, left : left + SIDE * scale] = view
    return sheet


def source_split() -> NDArray[np.int8]:
    """The split of each of the 1,797 source digits, shape (1797,): 0 train, 1 valid, 2 test; stratified by class."""
    classes = _source_digits()[1]
    order = np.random.default_rng(_SPLIT).permutation(len(classes))
    split = np.full(len(classes), TRAIN, np.int8)
    for label in range(CLASSES):
        members = order[classes[order] == label]
        taken = 0
        for held_out, share in _HELD_OUT.items():
            number = round(share * len(members))
            split[members[taken : taken + number]] = held_out
            taken += number
    return split


def kept_sources(seed: int, removed: float) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """Which of the 1,797 source digits a data set shows, and the five classes that are reduced, ascending.

    Raises:
        ValueError: if `removed` is outside [0, 1).

    Corner cases: a class keeps `LEAST_SOURCES` training digits at least. A seed removes digits in one order, so that
    those kept at a larger share are among those kept at a smaller one.
    """
    if not 0 <= removed < 1:
        raise ValueError(f"removed: expected a share in [0, 1), got {removed}")
    classes, split = _source_digits()[1], source_split()
    reduced = np.sort(np.random.default_rng((seed, _REDUCED)).permutation(CLASSES)[: CLASSES // 2])
    order = np.random.default_rng((seed, _REMOVED)).permutation(len(classes))
    kept = np.ones(len(classes), bool)
    for label in reduced:
        members = order[(classes[order] == label) & (split[order] == TRAIN)]
        kept[members[max(LEAST_SOURCES, round((1 - removed) * len(members))) :]] = False
    return kept, tuple(reduced.tolist())


@lru_cache
def photograph_strips(split: int) -> tuple[NDArray[np.uint8], ...]:
    """The strips of the photographs that a split's backgrounds come from, each uint8 (height, width, 3), RGB."""
    edges = [np.linspace(0, photograph.shape[1], _STRIPS + 1).astype(int) for photograph in _photographs()]
    return tuple(
        photograph[:, edge[strip] : edge[strip + 1]]
        for photograph, edge in zip(_photographs(), edges, strict=True)
        for strip in range(split, _STRIPS, len(_HELD_OUT) + 1)
    )


def _background(split: int, scene: Scene, draws: np.random.Generator) -> NDArray[np.float32]:
    """A window of a photograph, perhaps mirrored, at a drawn brightness and with bounded contrast: (28, 28, 3)."""
    strips = photograph_strips(split)
    windows = []
    for _ in range(scene.windows):
        strip = strips[draws.integers(len(strips))]
        top, left = (int(draws.integers(side - SIDE + 1)) for side in strip.shape[:2])
        windows.append(strip[top : top + SIDE, left : left + SIDE].astype(np.float32))
    window = max(windows, key=np.std)
    if draws.random() < 0.5:
        window = window[:, ::-1]
    gain = min(_MOST_GAIN, scene.clutter / max(1.0, float(window.std())))
    return np.float32(draws.uniform(*scene.level)) + np.float32(gain) * (window - window.mean())


def _view(
    glyph: NDArray[np.float32], background: NDArray[np.float32], scene: Scene, draws: np.random.Generator
) -> NDArray[np.uint8]:
    """A digit, turned by a drawn angle, over its background: uint8 (3, 28, 28)."""
    angle = draws.uniform(0, 360)
    matrix = cv2.getRotationMatrix2D(((_GLYPH - 1) / 2,) * 2, angle, draws.uniform(*scene.height) / _GLYPH)
    matrix[:, 2] += (SIDE - _GLYPH) / 2 + draws.uniform(-scene.shift, scene.shift, 2)
    cover = cv2.warpAffine(glyph, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)[:, :, None]
    ink = background.mean() + np.float32(draws.uniform(*scene.ink))
    pixels = background + cover * (ink - background)
    return np.rint(pixels).clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


@lru_cache(maxsize=1)
def _source_digits() -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Upsampled source digits, (1797, 64, 64), 0 to 1, and their classes, (1797,)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    glyphs = np.stack([_upsampled(image) for image in found.images])
    return glyphs, found.target.astype(np.int8)


def _upsampled(image: NDArray[np.float64]) -> NDArray[np.float32]:
    """One digit of 8×8 counts of ink, 0 to 16, as strokes with smooth edges that averaging to 28 pixels keeps."""
    large = cv2.resize(image.astype(np.float32) / 16, (_GLYPH, _GLYPH), interpolation=cv2.INTER_CUBIC)
    edge = np.clip((large - 0.2) / 0.5, 0, 1)
    smooth = edge * edge * (3 - 2 * edge)
    return cv2.GaussianBlur(smooth, (0, 0), 1.2).astype(np.float32)


@lru_cache(maxsize=1)
def _photographs() -> tuple[NDArray[np.uint8], ...]:
    from sklearn.datasets import load_sample_images

    return tuple(load_sample_images().images)
