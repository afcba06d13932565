"""The finished product: image files in, a label and a margin for each attribute out."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmle_core.artefact import digest_of, file_digest
from lmle_core.config import Data
from lmle_core.decode import Geometry, load
from lmle_core.features import NetworkEncoder
from lmle_core.index import CentroidIndex
from lmle_core.network import load_network
from lmle_core.store import ImageStore

MODEL, INDEX, MANIFEST = "model", "index", "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Classification:
    """What a classifier says of n images.

    Attributes:
        labels: classes, shape (n, A), int8.
        margins: best score minus second, shape (n, A), float32, not negative: the confidence, in log-odds of equally
            frequent classes if the index is calibrated.
    """

    labels: np.ndarray
    margins: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """Network and index of a run. `Classifier.load(run_directory).classify([bytes, ...])`."""

    attributes: tuple[str, ...]
    data: Data
    encoder: NetworkEncoder
    index: CentroidIndex

    @classmethod
    def load(cls, directory: Path | str, device: str = "cpu") -> "Classifier":
        """Read `model/` and `index/` of a run's directory.

        Raises:
            ValueError: if the directory does not hold a model of a known format.
        """
        directory = Path(directory)
        manifest_file = directory / MODEL / MANIFEST
        try:
            manifest = json.loads(manifest_file.read_text())
        except OSError:
            raise ValueError(f"{directory}: no model here (expected {manifest_file})") from None
        if manifest["format"] != FORMAT:
            raise ValueError(f"{manifest_file}: format {manifest['format']}, and this version of lmle reads {FORMAT}")
        return cls(
            attributes=tuple(manifest["attributes"]),
            data=Data(**manifest["data"]),
            encoder=NetworkEncoder(load_network(directory / MODEL, device), "embeddings"),
            index=CentroidIndex.load(directory / INDEX),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image of the network's size: (3, H, W)."""
        return 3, self.data.height, self.data.width

    def decode(self, image: bytes, out: np.ndarray) -> None:
        """Decode an image file to the network's size, as ingestion does.

        Args:
            image: the file.
            out: where to, uint8 (3, H, W); untouched if the file is refused.

        Raises:
            ValueError: for an image that cannot be decoded.
        """
        load(image, Geometry(self.data.height, self.data.width, self.data.crop), out=out)

    def classify(self, images: Sequence[bytes]) -> Classification:
        """Classify image files (JPEG, PNG, ...), given as their bytes.

        Raises:
            ValueError: for an image that cannot be decoded, naming its position.
        """
        pixels = np.empty((len(images), *self.shape), np.uint8)
        for position, image in enumerate(images):
            try:
                self.decode(image, pixels[position])
            except ValueError as error:
                raise ValueError(f"image {position}: {error}") from None
        return self.classify_pixels(pixels)

    def classify_pixels(self, pixels: np.ndarray) -> Classification:
        """Classify images of the network's size, uint8 (n, 3, H, W)."""
        if not len(pixels):
            empty = np.zeros((0, len(self.attributes)))
            return Classification(empty.astype(np.int8), empty.astype(np.float32))
        return Classification(*self.index.classify(*self.encoder.with_logits(pixels)))


def files_digest(directory: Path) -> str:
    """Identifies the classifier in a directory by the bytes of its files."""
    files = sorted(path for part in (MODEL, INDEX) for path in (directory / part).rglob("*") if path.is_file())
    return digest_of({str(path.relative_to(directory)): file_digest(path) for path in files})


def save_classifier(directory: Path, network: Path, index: Path, store: ImageStore, data: Data) -> None:
    """Copy a network's and an index's artefacts into a run's directory, with the manifest that `load` reads.

    Args:
        directory: the run's.
        network: directory of the last round's network.
        index: directory of the index.
        store: names the attributes and the geometry.
        data: how images were cropped.
    """
    model = directory / MODEL
    model.mkdir()
    for name in ("model.safetensors", "model.json"):
        shutil.copyfile(network / name, model / name)
    _, height, width = store.shape
    manifest = {
        "format": FORMAT,
        "attributes": list(store.attributes),
        "data": {"height": height, "width": width, "crop": data.crop},
        "trained_on": store.digest,
    }
    (model / MANIFEST).write_text(json.dumps({**manifest, "digest": digest_of(manifest)}, indent=1))
    shutil.copytree(index, directory / INDEX, ignore=shutil.ignore_patterns("COMMITTED.json"))
