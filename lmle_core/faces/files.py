"""The files: procedural faces as a folder in exactly CelebA's layout.

`img_align_celeba/000001.jpg` is image 0. The annotation files have CelebA's names and formats, and beside them
`list_attr_clean_celeba.txt` holds the labels before label noise. The first images are for training, the next for
validation, the last for the test, both boundaries on an identity.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from joblib import Parallel, delayed
from numpy.typing import NDArray

from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.celeba.images import FOLDER
from lmle_core.cores import cores
from lmle_core.faces.anatomy import Anatomy, Pose, bounding_box, landmarks
from lmle_core.faces.painting import paint
from lmle_core.faces.person import person
from lmle_core.faces.population import IMAGES_PER_IDENTITY, draw_population, identity_of, mislabel
from lmle_core.faces.streams import painter

JPEG_QUALITY = 90
HELD_OUT = (0.1, 0.1)
"""Shares of the identities for validation and test."""

_BLOCK = 500
_LANDMARK_NAMES = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"  # fmt: skip  # noqa: E501


def file_name(i: int) -> str:
    """The file name of image i, which counts from 0, as CelebA's from 1."""
    return f"{i + 1:06d}.jpg"


def render(seed: int, i: int) -> NDArray[np.uint8]:
    """Image i of the data set with this seed: uint8 (218, 178, 3), RGB, before JPEG."""
    return paint(person(draw_population(seed, range(i, i + 1)), 0), painter(seed, i))


def write_images(directory: Path, indices: range, seed: int) -> None:
    """Write the JPEG files of consecutive images; the bytes of each depend on (seed, i) alone.

    Args:
        directory: the data set's folder; `img_align_celeba` is made in it.
        indices: consecutive image numbers, from 0.
        seed: the data set's seed.
    """
    cv2.setNumThreads(1)
    folder = Path(directory) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    population = draw_population(seed, indices)
    for row, i in enumerate(indices):
        pixels = paint(person(population, row), painter(seed, i))
        (folder / file_name(i)).write_bytes(simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, "RGB", "420"))


def write_annotations(
    directory: Path, images: int, seed: int, label_noise: float, held_out: tuple[float, float] = HELD_OUT
) -> None:
    """Write the annotation files of a data set of this many images.

    Args:
        directory: the data set's folder.
        images: images in the whole data set.
        seed: the data set's seed.
        label_noise: share of wrong labels in the minority class, as `mislabel` says.
        held_out: shares of the identities for validation and test.

    Raises:
        ValueError: if there are no images, or label_noise is outside [0, 0.5).
    """
    if images < 1:
        raise ValueError(f"images: expected at least 1, got {images}")
    population = draw_population(seed, range(images))
    noisy = mislabel(population.labels, seed, population.indices, label_noise)
    names = [file_name(i) for i in population.indices]
    points, boxes = np.empty((images, 10), np.int64), np.empty((images, 4), np.int64)
    for row in range(images):
        face = person(population, row)
        anatomy, pose = Anatomy.of(face), Pose.of(face)
        points[row], boxes[row] = landmarks(anatomy, pose), bounding_box(anatomy, pose)
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    attributes = " ".join(ATTRIBUTES) + " "
    _write_table(folder / "list_attr_celeba.txt", names, 2 * noisy - 1, attributes, width=2)
    _write_table(folder / "list_attr_clean_celeba.txt", names, 2 * population.labels - 1, attributes, width=2)
    _write_table(folder / "list_landmarks_align_celeba.txt", names, points, _LANDMARK_NAMES, width=4)
    _write_table(folder / "list_bbox_celeba.txt", names, boxes, "image_id x_1 y_1 width height", width=4)
    _write_table(folder / "identity_CelebA.txt", names, identity_of(population.indices)[:, None] + 1)
    _write_table(folder / "list_eval_partition.txt", names, partition(images, held_out)[:, None])


def write_faces(
    directory: Path, images: int, seed: int, label_noise: float, progress: Callable[[int], None] | None = None
) -> None:
    """Write a whole data set.

    Args:
        directory: the data set's folder.
        images: images in the whole data set.
        seed: the data set's seed.
        label_noise: share of wrong labels in the minority class, as `mislabel` says.
        progress: called with the number of images that are done, from time to time.
    """
    write_annotations(directory, images, seed, label_noise)
    write_all_images(directory, images, seed, progress)


def write_all_images(directory: Path, images: int, seed: int, progress: Callable[[int], None] | None = None) -> None:
    """Write the JPEG files of a whole data set, over all cores. Arguments as of `write_faces`."""
    blocks = [range(start, min(start + _BLOCK, images)) for start in range(0, images, _BLOCK)]
    written = Parallel(min(cores(), len(blocks)), return_as="generator")(
        delayed(write_images)(directory, block, seed) for block in blocks
    )
    for block, _ in zip(blocks, written, strict=True):
        if progress is not None:
            progress(block.stop)


def partition(images: int, held_out: tuple[float, float] = HELD_OUT) -> NDArray[np.int8]:
    """The split of each image: 0 train, 1 valid, 2 test; the last two shares of the identities are held out, whole."""
    identity = identity_of(range(images))
    people = -(-images // IMAGES_PER_IDENTITY)
    valid, test = (max(1, round(share * people)) if people > 2 else 0 for share in held_out)
    split = np.zeros(images, np.int8)
    split[identity >= people - valid - test] = 1
    split[identity >= people - test] = 2
    return split


def _write_table(
    path: Path, names: Iterable[str], values: NDArray[np.integer], header: str | None = None, width: int = 0
) -> None:
    """One line an image: its name and its numbers, after a count and a header where the format has them."""
    lines = [] if header is None else [str(len(values)), header]
    lines += [f"{name} " + " ".join(f"{value:{width}d}" for value in row) for name, row in zip(names, values.tolist(), strict=True)]  # fmt: skip  # noqa: E501
    path.write_text("\n".join(lines) + "\n")
