"""The population: which attributes, how strongly, in which pose and on whom, for any run of images; no drawing.

The latent of an attribute is `√s·z(identity) + √(1 − s)·z(image)`, both standard normal, s its identity share; the
attribute is present where Φ(latent) is under the probability that its parents give it. Row i depends on (seed, i)
alone, its identity's part on (seed, identity).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from lmle_core.celeba.facts import ATTRIBUTES, POSITIVE_RATE
from lmle_core.faces.dependencies import NETWORK
from lmle_core.faces.streams import IDENTITY_STREAM, IMAGE_STREAM, NOISE_STREAM, rows

IMAGES_PER_IDENTITY = 20

LOOKS = (
    "skin", "redness", "width", "length", "jaw", "chin", "eye_size", "eye_gap", "eye_tilt", "iris", "nose_width",
    "nose_length", "mouth_width", "lips", "brow", "brow_height", "hair_shade", "hair_length", "hair_volume", "parting",
    "ears", "neck", "asymmetry_a", "asymmetry_b",
)  # fmt: skip
"""What an identity has besides its attributes, each a uniform number."""

POSE = ("x", "y", "angle", "scale", "yaw", "pitch")
"""How an image sees its face, each a uniform number."""

_LATENTS = len(ATTRIBUTES)
_CALIBRATION_IMAGES = 2**15


@dataclass(frozen=True)
class Population:
    """Consecutive images before they are drawn.

    Attributes:
        indices: which images, n of them.
        labels: int8 (n, 40), 1 where the attribute is present, in CelebA's order of attributes.
        degrees: float64 (n, 40) in [0, 1), how much of the attribute (or of its absence) there is.
        looks: float64 (n, len(LOOKS)) in [0, 1).
        pose: float64 (n, len(POSE)) in [0, 1).
    """

    indices: range
    labels: NDArray[np.int8]
    degrees: NDArray[np.float64]
    looks: NDArray[np.float64]
    pose: NDArray[np.float64]


def identity_of(indices: NDArray[np.int64] | range) -> NDArray[np.int64]:
    """Identity of each image, from 0: runs of 20 images."""
    return np.asarray(indices, np.int64) // IMAGES_PER_IDENTITY


def draw_population(seed: int, indices: range) -> Population:
    """Draw consecutive images of the population; about 100,000 a second.

    Args:
        seed: the data set's seed.
        indices: consecutive image numbers, from 0.

    Raises:
        ValueError: if the indices are not consecutive, or negative.
    """
    image = rows(seed, IMAGE_STREAM, indices, 2 * _LATENTS + len(POSE))
    first = indices.start // IMAGES_PER_IDENTITY
    last = -(-indices.stop // IMAGES_PER_IDENTITY)
    people = rows(seed, IDENTITY_STREAM, range(first, max(first, last)), 2 * _LATENTS + len(LOOKS))
    identity = people[identity_of(indices) - first]
    share = _identity_shares()
    return Population(
        indices=indices,
        labels=_labels(_mix(identity[:, :_LATENTS], image[:, :_LATENTS], share)),
        degrees=_mix(identity[:, _LATENTS : 2 * _LATENTS], image[:, _LATENTS : 2 * _LATENTS], share),
        looks=identity[:, 2 * _LATENTS :],
        pose=image[:, 2 * _LATENTS :],
    )


def draw_attributes(seed: int, indices: range) -> NDArray[np.int8]:
    """The true labels of consecutive images: int8 (n, 40), 0 or 1, in CelebA's order of attributes."""
    return draw_population(seed, indices).labels


def mislabel(labels: NDArray[np.int8], seed: int, indices: range, label_noise: float) -> NDArray[np.int8]:
    """The labels as an annotator gives them: some wrong, and every attribute's rate unchanged.

    With q = min(p, 1 − p) the rate of an attribute's minority class, a member of the minority is mislabelled with
    probability `label_noise`, and a member of the majority with probability `label_noise · q / (1 − q)`. So there are
    as many false positives as false negatives, the share `label_noise` of the labels that name the minority class is
    wrong for every attribute, rare or not, and the share of wrong labels overall is `2 · label_noise · q`. (Equal
    shares of both classes would drown a rare attribute: at p = 2 % and 5 % noise, 71 % of its positives would be
    false.)

    Args:
        labels: int8 (n, 40) of 0 and 1.
        seed: the data set's seed.
        indices: which images the rows are.
        label_noise: share of the minority class's labels, in [0, 0.5).

    Raises:
        ValueError: if label_noise is outside [0, 0.5).
    """
    if not 0 <= label_noise < 0.5:
        raise ValueError(f"label_noise: expected a share in [0, 0.5), got {label_noise}")
    positive = np.array([POSITIVE_RATE[name] for name in ATTRIBUTES])
    minority_is_positive = positive <= 0.5
    rate = np.minimum(positive, 1 - positive)
    is_minority = (labels == 1) == minority_is_positive
    chance = np.where(is_minority, label_noise, label_noise * rate / (1 - rate))
    wrong = rows(seed, NOISE_STREAM, indices, _LATENTS) < chance
    return np.where(wrong, 1 - labels, labels).astype(np.int8)


def _mix(identity: NDArray[np.float64], image: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Uniform numbers again, of which `share` of the variance (on the normal scale) is the identity's."""
    least, most = 2.0**-54, 1 - 2.0**-53
    latent = np.sqrt(share) * ndtri(identity.clip(least, most)) + np.sqrt(1 - share) * ndtri(image.clip(least, most))
    return np.clip(ndtr(latent), least, most)


def _labels(uniform: NDArray[np.float64]) -> NDArray[np.int8]:
    labels = np.zeros(uniform.shape, np.int8)
    for (column, parents, effects), bias in zip(_columns(), _biases(), strict=True):
        labels[:, column] = uniform[:, column] < expit(bias + labels[:, parents] @ effects)
    return labels


@cache
def _identity_shares() -> NDArray[np.float64]:
    share = {node.name: node.identity for node in NETWORK}
    return np.array([share[name] for name in ATTRIBUTES])


@cache
def _columns() -> tuple[tuple[int, list[int], NDArray[np.float64]], ...]:
    """For each node: its column, its parents' columns and their effects."""
    place = {name: column for column, name in enumerate(ATTRIBUTES)}
    return tuple(
        (place[node.name], [place[name] for name in node.effects], np.array(list(node.effects.values()), np.float64))
        for node in NETWORK
    )


@cache
def _biases() -> tuple[float, ...]:
    """Each node's bias: the one at which a fixed sample of the population has CelebA's rate."""
    uniform = np.random.Generator(np.random.PCG64(0)).random((_CALIBRATION_IMAGES, _LATENTS))
    labels = np.zeros(uniform.shape, np.int8)
    biases = []
    for column, parents, effects in _columns():
        offset = labels[:, parents] @ effects
        values, counts = np.unique(offset, return_counts=True)
        target = POSITIVE_RATE[ATTRIBUTES[column]] * len(offset)
        low, high = -60.0, 60.0
        for _ in range(60):
            middle = (low + high) / 2
            if counts @ expit(middle + values) < target:
                low = middle
            else:
                high = middle
        biases.append(low)
        labels[:, column] = uniform[:, column] < expit(low + offset)
    return tuple(biases)
