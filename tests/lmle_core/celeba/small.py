"""A small data set in CelebA's layout with random smooth images, for tests of everything that reads one."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg


def names(images: int) -> list[str]:
    return [f"{i + 1:06}.jpg" for i in range(images)]


def picture(seed: int, height: int = 44, width: int = 36) -> np.ndarray:
    """A smooth random image, shape (height, width, 3), uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(seed: int, height: int = 44, width: int = 36) -> bytes:
    return simplejpeg.encode_jpeg(picture(seed, height, width), quality=95, colorsubsampling="444")


def text_table(path: Path, rows: dict[str, list[int]], columns: Sequence[str] | None) -> None:
    """As published: count and names above the rows, or rows only."""
    head = "" if columns is None else f"{len(rows)}\n{' '.join(columns)} \n"
    path.write_text(head + "".join(f"{name} {' '.join(f'{v:2d}' for v in values)}\n" for name, values in rows.items()))


def csv_table(path: Path, rows: dict[str, list[int]], columns: Sequence[str]) -> None:
    """As on Kaggle."""
    lines = [",".join(("image_id", *columns))]
    lines += [",".join((name, *map(str, values))) for name, values in rows.items()]
    path.write_text("\n".join(lines) + "\n")


def write_small(directory: Path, images: int = 40, attributes: int = 3, seed: int = 0, *, csv: bool = False) -> Path:
    """A whole data set: JPEG files of 36 x 44 pixels and all five tables."""
    folder = directory / "img_align_celeba"
    folder.mkdir(parents=True)
    for i, name in enumerate(names(images)):
        (folder / name).write_bytes(jpeg(seed * 100_000 + i))
    rng = np.random.default_rng(seed)
    columns = [f"Attribute_{j}" for j in range(attributes)]
    landmarks = [f"landmark_{axis}{k}" for k in range(5) for axis in "xy"]
    contents: list[tuple[str, np.ndarray, list[str], bool]] = [
        ("list_attr_celeba", rng.choice([-1, 1], (images, attributes)), columns, True),
        ("list_attr_clean_celeba", rng.choice([-1, 1], (images, attributes)), columns, True),
        ("list_eval_partition", np.arange(images)[:, None] % 3, ["partition"], False),
        ("identity_CelebA", rng.integers(1, 9, (images, 1)), ["identity"], False),
        ("list_landmarks_align_celeba", rng.integers(0, 44, (images, 10)), landmarks, True),
    ]
    for stem, values, header, has_head in contents:
        rows = dict(zip(names(images), values.tolist(), strict=True))
        if csv:
            csv_table(directory / f"{stem}.csv", rows, header)
        else:
            text_table(directory / f"{stem}.txt", rows, header if has_head else None)
    return directory


def zip_images(directory: Path, prefix: str = "img_align_celeba/") -> None:
    """Replace the image folder by an archive."""
    folder = directory / "img_align_celeba"
    with zipfile.ZipFile(directory / "img_align_celeba.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, prefix + file.name)
            file.unlink()
    folder.rmdir()
