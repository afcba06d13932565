"""Digits as image files, and the image store of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from lmle_core.artefact import file_digest
from lmle_core.celeba.annotations import CelebA
from lmle_core.celeba.images import FOLDER, FolderImages
from lmle_core.config import Data
from lmle_core.digits import DigitImages, draw_digits
from lmle_core.ingest import ingest_over

TABLE = "digits.csv"


def make_digits(directory: Path, seed: int, data: Data) -> None:
    """The image store of a seed's digits, drawn as image files and ingested.

    Args:
        directory: gets the store.
        seed: of the digits.
        data: the size of the images, and the share of them that is removed.
    """
    with TemporaryDirectory() as files, ThreadPoolExecutor() as pool:
        ingest_over(pool, directory, write_digits(Path(files), draw_digits(seed, data.removed)), data)


def write_digits(directory: Path, digits: DigitImages) -> CelebA:
    """Write the images as PNG files into `img_align_celeba/` of a directory, and describe them as a data source.

    Args:
        directory: made where it is missing. Files there that are not of these digits are left, and not read.
        digits: what to write.

    Returns:
        The source to ingest: one attribute `digit` with labels 0 to 9, and the source digits as identities.
    """
    folder = Path(directory) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(digits.names, digits.images, strict=True):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / name, compress_level=1)
    columns = (digits.names, digits.labels[:, 0].tolist(), digits.split.tolist(), digits.sources.tolist())
    lines = [f"{name},{label},{split},{source}" for name, label, split, source in zip(*columns, strict=True)]
    table = Path(directory) / TABLE
    table.write_text("\n".join(["image_id,digit,partition,source", *lines]) + "\n")
    reader = FolderImages(folder)
    entries = reader.entries()
    return CelebA(
        directory=Path(directory),
        filenames=digits.names,
        attributes=("digit",),
        labels=digits.labels,
        split=digits.split,
        identity=digits.sources,
        landmarks=None,
        clean_labels=None,
        tables=((table.name, file_digest(table)),),
        reader=reader,
        stamps=tuple(entries[name] for name in digits.names),
        folders=((Path(directory), len(digits.names)),),
    )
