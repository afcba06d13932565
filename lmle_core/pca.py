"""Principal components of pixels: the prior features that need no labels and no training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = "pca.npz"
BLOCK = 256
"""Images that are projected at a time: their pixels are held in float32."""


@dataclass(frozen=True)
class PrincipalComponents:
    """A projection of images (b, 3, H, W) to unit vectors (b, 1, D).

    Attributes:
        mean: of the training pixels, shape (3 · H · W,).
        components: shape (D, 3 · H · W).
    """

    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, images: np.ndarray, components: int, seed: int) -> "PrincipalComponents":
        """Fit to images uint8 (n, 3, H, W) by randomised SVD; at most n − 1 components."""
        from sklearn.decomposition import PCA

        pixels = _flat(images)
        number = min(components, len(pixels) - 1, pixels.shape[1])
        model = PCA(number, svd_solver="randomized", random_state=seed).fit(pixels)
        return cls(model.mean_.astype(np.float32), model.components_.astype(np.float32))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Unit features float32 (b, 1, D) of images uint8 (b, 3, H, W)."""
        parts = [self._projected(images[low : low + BLOCK]) for low in range(0, len(images), BLOCK)]
        return np.concatenate(parts)[:, None] if parts else np.empty((0, 1, len(self.components)), np.float32)

    def _projected(self, images: np.ndarray) -> np.ndarray:
        pixels = _flat(images)
        pixels -= self.mean
        projected = pixels @ self.components.T
        return np.asarray(projected / np.linalg.norm(projected, axis=1, keepdims=True).clip(1e-12))

    def save(self, directory: Path) -> None:
        """Write `pca.npz`."""
        np.savez(directory / FILE, mean=self.mean, components=self.components)

    @classmethod
    def load(cls, directory: Path) -> "PrincipalComponents":
        """Read `pca.npz`."""
        with np.load(directory / FILE) as file:
            return cls(file["mean"], file["components"])

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether a directory holds principal components."""
        return (directory / FILE).exists()


def _flat(images: np.ndarray) -> np.ndarray:
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels /= 255
    return pixels
