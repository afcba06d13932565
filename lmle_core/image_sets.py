"""Images to classify: a folder of files, CelebA's layout, or a store; read in parts, each where it is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from lmle_core.artefact import digest_of
from lmle_core.celeba.images import ARCHIVE, DAMAGED, FOLDER, FolderImages, ImageReader, open_images
from lmle_core.celeba.layout import FOLDERS, DataError, find
from lmle_core.celeba.remote_images import RemoteImages
from lmle_core.classifier import Classifier
from lmle_core.ingest import read_quarantine
from lmle_core.location import Location, LocationError, reaching
from lmle_core.payload import SUFFIXES
from lmle_core.store import QUARANTINED, ImageStore


class ImagePart(Protocol):
    """Some images of a set: small, picklable, read where it is used."""

    @property
    def names(self) -> Sequence[str]:
        """Of the part's images."""
        ...

    def read(self, classifier: Classifier, lo: int, hi: int) -> tuple[np.ndarray, dict[int, str]]:
        """Pixels of images lo to hi - 1, uint8 (hi - lo, 3, H, W) of the classifier's size, and why some have none.

        The reasons are by position, counted from lo.
        """
        ...


class ImageSet(Protocol):
    """Images in a fixed order."""

    @property
    def names(self) -> Sequence[str]:
        """Of all images."""
        ...

    @property
    def digest(self) -> str:
        """Identifies the images without reading them all."""
        ...

    def check(self, classifier: Classifier) -> None:
        """Raise DataError where the classifier cannot take these images."""
        ...

    def part(self, lo: int, hi: int) -> ImagePart:
        """Images lo to hi - 1."""
        ...


def open_image_set(path: Location) -> ImageSet:
    """The images at a path or a URL.

    A folder with an image store's zarr.json is that, on a disk alone; one with `img_align_celeba` or its zip is
    CelebA's layout, whose tables are not needed; any other folder is searched, its sub-folders too, for files named as
    images.

    Raises:
        DataError: if there is no image.
        LocationError: if the storage of a URL cannot be used.
    """
    if isinstance(path, Path) and (path / "zarr.json").exists():
        return StoredImages(ImageStore.open(path))
    with reaching(path):
        if not path.is_dir():
            raise DataError(f"{path}: expected a folder of images, one in CelebA's layout, or an image store")
        celeba = find(path, (ARCHIVE,)) or any((path / place / FOLDER).is_dir() for place in FOLDERS)
    folder = FolderImages(path) if isinstance(path, Path) else RemoteImages(path)
    reader: ImageReader = open_images(path) if celeba else folder
    entries = reader.entries()
    names = tuple(sorted(name for name in entries if name.lower().endswith(SUFFIXES)))
    if not names:
        raise DataError(f"{reader.path}: no image here (looked for {', '.join(SUFFIXES)})")
    return ImageFiles(reader, names, digest_of([[name, *entries[name]] for name in names]))


@dataclass(frozen=True)
class ImageFiles:
    """Image files, by name; the digest is of their names, sizes and times of change."""

    reader: ImageReader
    names: tuple[str, ...]
    digest: str

    def check(self, classifier: Classifier) -> None:
        """Files of any size will do."""

    def part(self, lo: int, hi: int) -> "FilePart":  # noqa: D102
        return FilePart(self.reader, self.names[lo:hi])


@dataclass(frozen=True)
class FilePart:
    """Image files of these names."""

    reader: ImageReader
    names: tuple[str, ...]

    def read(self, classifier: Classifier, lo: int, hi: int) -> tuple[np.ndarray, dict[int, str]]:
        """As of `ImagePart`. Raises OSError where the disk or the network fails, which says nothing of the image."""
        pixels = np.zeros((hi - lo, *classifier.shape), np.uint8)
        wrong = {}
        images = self.reader.ahead(self.names[lo:hi])
        for position, name in enumerate(self.names[lo:hi]):
            try:
                classifier.decode(images.read(name), pixels[position])
            except OSError as error:
                reason = error.__cause__ if isinstance(error, LocationError) else error
                if not isinstance(reason, FileNotFoundError | PermissionError):
                    raise
                wrong[position] = f"cannot be read: {reason.strerror or reason}"
            except (ValueError, *DAMAGED) as error:
                wrong[position] = str(error) or type(error).__name__
        return pixels, wrong


@dataclass(frozen=True)
class StoredImages:
    """The images of a store; those quarantined at ingestion have no pixels."""

    store: ImageStore

    @property
    def names(self) -> Sequence[str]:  # noqa: D102
        return self.store.filenames

    @property
    def digest(self) -> str:  # noqa: D102
        return self.store.digest

    def check(self, classifier: Classifier) -> None:
        """Raise DataError where images were stored in another size or cropped in another way than the model's."""
        found, wanted = (*self.store.shape, self.store.crop), (*classifier.shape, classifier.data.crop)
        if found != wanted:
            raise DataError(
                f"{self.store.path}: the model takes images (3, H, W) and crop {wanted}, and these were stored as "
                f"{found}: give the image files instead"
            )

    def part(self, lo: int, hi: int) -> "StorePart":  # noqa: D102
        reasons = {entry["file"]: entry["reason"] for entry in read_quarantine(self.store.path)}
        absent = np.flatnonzero(self.store.split[lo:hi] == QUARANTINED).tolist()
        return StorePart(self.store, lo, hi, {row: reasons[self.names[lo + row]] for row in absent})


@dataclass(frozen=True)
class StorePart:
    """Rows `first` to `last` - 1 of a store, which pickles as its path."""

    store: ImageStore
    first: int
    last: int
    absent: dict[int, str]

    @property
    def names(self) -> Sequence[str]:  # noqa: D102
        return self.store.filenames[self.first : self.last]

    def read(self, classifier: Classifier, lo: int, hi: int) -> tuple[np.ndarray, dict[int, str]]:
        """As of `ImagePart`."""
        pixels = self.store.block(self.first + lo, self.first + hi)
        return pixels, {row - lo: reason for row, reason in self.absent.items() if lo <= row < hi}
