"""Features: what the images become before they are clustered or classified, and the artefact that holds them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import zarr
from torch.nn import functional

from lmle_core.network import Network, load_network
from lmle_core.pca import PrincipalComponents
from lmle_core.room import check_room
from lmle_core.store import ImageStore

Output = Literal["trunk", "embeddings", "logits"]
BATCH = 256
"""Images in a forward pass; fixed, so that the arithmetic does not depend on who computes it."""


class Encoder(Protocol):
    """Images to features."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features float32 (b, G, D) of images uint8 (b, 3, H, W)."""
        ...


@dataclass(frozen=True)
class NetworkEncoder:
    """One of a network's outputs: unit trunk features (G = 1), unit embeddings (G = A), or logits (G = A, D = C)."""

    network: Network
    output: Output

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features float32 (b, G, D) of images uint8 (b, 3, H, W)."""
        return np.concatenate([self._forward(batch).cpu().numpy() for batch in self._batches(images)])

    @torch.inference_mode()
    def with_logits(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings float32 (b, A, d) and logits float32 (b, A, C) of images uint8 (b, 3, H, W), in one pass."""
        outputs = [self.network(batch) for batch in self._batches(images)]
        embeddings, logits = (torch.cat(each).cpu().numpy() for each in zip(*(o[1:] for o in outputs), strict=True))
        return embeddings, logits

    def _batches(self, images: np.ndarray) -> Iterator[torch.Tensor]:
        device = next(self.network.parameters()).device
        for low in range(0, len(images), BATCH):
            yield torch.from_numpy(images[low : low + BATCH]).to(device)

    def _forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.output == "trunk":
            return functional.normalize(self.network.features(images), dim=-1)[:, None]
        output = self.network(images)
        return output.embeddings if self.output == "embeddings" else output.logits


def load_encoder(directory: Path, output: Output, device: torch.device | str = "cpu") -> Encoder:
    """The encoder of a stage's directory: principal components where it holds them, else a network's output."""
    if PrincipalComponents.exists(directory):
        return PrincipalComponents.load(directory)
    return NetworkEncoder(load_network(directory, device), output)


@dataclass(frozen=True)
class Features:
    """Features of every image of a store, float32 (N, G, D), in a zarr array with one chunk for each of its shards."""

    path: Path
    array: Any

    @classmethod
    def create(cls, directory: Path, images: int, shape: tuple[int, int], shard: int) -> "Features":
        """An empty artefact for `images` rows of shape (G, D), to be filled shard by shard. Raises NoRoomError."""
        check_room(directory, 4 * images * shape[0] * shape[1], f"the features of {images:,} images")
        array = zarr.create_array(
            store=str(directory / "features"),
            shape=(images, *shape),
            chunks=(min(shard, images), *shape),
            dtype="float32",
            compressors=None,
            overwrite=True,
        )
        return cls(directory, array)

    @classmethod
    def open(cls, directory: Path) -> "Features":
        """The artefact in a directory, for reading, or for writing whole shards."""
        array = zarr.open_array(str(directory / "features"), mode="r+")
        return cls(directory, array.with_config({"read_missing_chunks": False}))  # it would be zeros

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Features of ascending rows, float32 (len(rows), G, D); reads no chunk twice."""
        return self._read(np.asarray(rows), slice(None))

    def of_attribute(self, rows: np.ndarray, attribute: int) -> np.ndarray:
        """Those of one attribute, float32 (len(rows), D); all that is held of the others is a chunk."""
        group = attribute if self.array.shape[1] > 1 else 0
        return self._read(np.asarray(rows), slice(group, group + 1))[:, 0]

    def _read(self, rows: np.ndarray, groups: slice) -> np.ndarray:
        number_of_groups = len(range(*groups.indices(self.array.shape[1])))
        result = np.empty((len(rows), number_of_groups, self.array.shape[2]), np.float32)
        chunk = self.array.chunks[0]
        bounds = np.searchsorted(rows, np.arange(0, len(self) + chunk, chunk))
        for number, (low, high) in enumerate(pairwise(bounds)):
            if high > low:
                block = self.array[number * chunk : (number + 1) * chunk]
                result[low:high] = block[rows[low:high] - number * chunk, groups]
        return result

    def write(self, low: int, values: np.ndarray) -> None:
        """Write the features of a whole shard, whose first row is `low`."""
        self.array[low : low + len(values)] = values

    @staticmethod
    def metadata(directory: Path) -> Path:
        """The file that `create` writes, and nothing changes after it."""
        return directory / "features" / "zarr.json"

    def check(self) -> None:
        """Raise ValueError if a chunk is missing; zarr would read it as zeros."""
        if self.array.nchunks_initialized != self.array.nchunks:
            raise ValueError(f"{self.path}: {self.array.nchunks_initialized} of {self.array.nchunks} chunks are there")


def feature_shape(encoder: Encoder, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """(G, D) of an encoder, found by encoding one black image."""
    groups, dimensions = encoder(np.zeros((1, *image_shape), np.uint8)).shape[1:]
    return groups, dimensions


def extract(
    encoder: Encoder, store: ImageStore, directory: Path, progress: Callable[[int, int], None] | None = None
) -> Features:
    """Encode every image of a store, one shard after the other, into a directory.

    Args:
        encoder: images to features.
        store: the images.
        directory: of the artefact.
        progress: called with (shards done, shards).
    """
    features = Features.create(directory, store.n, feature_shape(encoder, store.shape), store.shard)
    shards = -(-store.n // store.shard)
    for number in range(shards):
        features.write(*encode_shard(encoder, store, number))
        if progress is not None:
            progress(number + 1, shards)
    features.check()
    return features


def encode_shard(encoder: Encoder, store: ImageStore, number: int) -> tuple[int, np.ndarray]:
    """Encode one shard of a store's images.

    Returns:
        The shard's first row, and its features, float32 (n, G, D).

    Raises:
        ValueError: where features are not finite.
    """
    low, high = number * store.shard, min((number + 1) * store.shard, store.n)
    values = encoder(store.block(low, high))
    if not np.isfinite(values).all():
        row = low + int(np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))[0])
        raise ValueError(f"features of image {row} are not finite: the network has diverged")
    return low, values
