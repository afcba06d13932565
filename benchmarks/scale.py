"""The sizes of a suite: minutes on two cores, or all of CelebA on a GPU. The code is the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from lmle_core.config import Config, load_config


@dataclass(frozen=True)
class Scale:
    """How much a suite measures.

    Attributes:
        name: 'small' or 'full'.
        faces: procedural faces that are drawn; further images are links to them, further embeddings other views.
        images: of each stage's comparison, by the stage's name.
        repetitions: timed calls of each contender.
        sizes: images, for the cost against the size.
        preset: of the configuration.
        settings: over the preset.
    """

    name: str
    faces: int
    images: Mapping[str, int]
    repetitions: int
    sizes: tuple[int, ...]
    preset: str | None
    settings: tuple[str, ...] = ()

    def config(self) -> Config:
        """Geometry, network and recipe."""
        return load_config(self.preset, list(self.settings))


SMALL = Scale(
    name="small",
    faces=6000,
    images={
        "ingestion": 6000,
        "reading": 4800,
        "features": 4096,
        "training": 2560,
        "k-means": 12_000,
        "mining": 6000,
        "classification": 160_000,
    },
    repetitions=3,
    sizes=(1500, 3000, 6000, 12_000),
    preset=None,
)
FULL = Scale(
    name="full",
    faces=202_599,
    images={
        "ingestion": 50_000,
        "reading": 162_000,
        "features": 50_000,
        "training": 25_600,
        "k-means": 160_000,
        "mining": 80_000,
        "classification": 160_000,
    },
    repetitions=5,
    sizes=(12_000, 25_000, 50_000, 100_000, 200_000),
    preset="celeba",
)
SCALES = {scale.name: scale for scale in (SMALL, FULL)}
