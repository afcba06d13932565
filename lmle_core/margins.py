"""Margins of the triple-header hinge: by hand, or from the geometry of the sphere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmle_core.clusters import Clusters
from lmle_core.config import Loss
from lmle_core.odds import class_shares

type Margin = float | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Margins:
    """g1, g2, g3, in the units of the distance.

    Attributes:
        g1: between the own cluster and the nearest member of the class outside it.
        g2: between the nearest and the farthest member of the class outside the own cluster; a float, or one for each
            class, shape (C,), or each class of each attribute, (A, C): index it by the anchor's class.
        g3: between the class and the impostors.

    Raises:
        ValueError: a negative margin, or one that is not finite.
    """

    g1: Margin
    g2: Margin
    g3: Margin

    def __post_init__(self) -> None:
        for name in ("g1", "g2", "g3"):
            value = np.asarray(getattr(self, name))
            if not (np.isfinite(value) & (value >= 0)).all():
                raise ValueError(f"{name}: expected finite margins of at least 0, found {value}")


def geometric_margins(
    class_sizes: ArrayLike, cluster_size: float | ArrayLike, share: float, squared: bool = False
) -> Margins:
    """Margins as chords of the unit sphere, if clusters and classes shared it in proportion to their samples.

        g1 = 2 sin(pi s l / L),  g2 = 2 sin(pi s (L_c - l) / L),  g3 = 2 sin(pi s / C)

    Args:
        class_sizes: L_c, shape (C,) or (A, C).
        cluster_size: l, a number, or broadcastable to `class_sizes`.
        share: s, of the sphere in use, 0 to 1.
        squared: squared chords, for squared distances.

    Returns:
        g1 and g2 float32 of the shape of `class_sizes`, g3 a float.

    Source: Huang et al., Learning Deep Representation for Imbalanced Classification, CVPR 2016, section 3.3.

    Corner cases: the angles are clamped at pi/2, where the chord is a diameter: beyond, a larger class would get a
    smaller g2. A class smaller than a cluster has g2 = 0. Classes without samples count in C.
    """
    sizes = np.asarray(class_sizes, dtype=np.float64)
    if sizes.ndim < 1 or (sizes < 0).any() or (sizes.sum(-1) <= 0).any():
        raise ValueError(f"class sizes: expected (..., C), not negative, not all zero, found {sizes.tolist()}")
    if not 0 < share <= 1:
        raise ValueError(f"share of the sphere: expected over 0 and at most 1, found {share}")
    total = sizes.sum(-1, keepdims=True)
    length = np.broadcast_to(np.asarray(cluster_size, dtype=np.float64), sizes.shape)
    g1 = _chord(np.pi * share * length / total, squared)
    g2 = _chord(np.pi * share * np.maximum(sizes - length, 0) / total, squared)
    g3 = _chord(np.asarray(np.pi * share / sizes.shape[-1]), squared)
    return Margins(g1.astype(np.float32), g2.astype(np.float32), float(g3))


def margins_of(loss: Loss, class_sizes: ArrayLike, cluster_size: float | ArrayLike) -> Margins:
    """The margins that the configuration asks for: its own three values, in the distance's units, or from geometry."""
    if loss.margins is not None:
        return Margins(*loss.margins)
    return geometric_margins(class_sizes, cluster_size, loss.sphere_share, loss.squared)


def margin_table(labels: NDArray[np.integer], clusters: Clusters, classes: int, loss: Loss) -> NDArray[np.float32]:
    """Margins g1, g2, g3 of the anchors of each class of each attribute, float32 (3, A, C), in the distance's units.

    Args:
        labels: (n, A), of the training images.
        clusters: of them, of this round.
        classes: C.
        loss: its margins.
    """
    sizes = np.stack([(labels == c).sum(0) for c in range(classes)], axis=1)
    numbers = np.stack([(clusters.centroid_class == c).sum(1) for c in range(classes)], axis=1)
    margins = margins_of(loss, sizes, sizes / np.maximum(numbers, 1))
    return np.stack(
        [np.broadcast_to(np.float32(margin), sizes.shape) for margin in (margins.g1, margins.g2, margins.g3)]
    )


def hinge_of_equal_distances(
    labels: NDArray[np.integer], clusters: Clusters, classes: int, loss: Loss, *, balanced: bool
) -> float | None:
    """g1 + g2 + g3, the mean over anchors: what the hinge is where all distances are equal. None for other losses.

    Args:
        labels: as of `margin_table`.
        clusters: likewise.
        classes: likewise.
        loss: of the rounds.
        balanced: whether every class of an attribute has as many anchors, or each as many as it has images.
    """
    if loss.kind != "hinge":
        return None
    sums = margin_table(labels, clusters, classes, loss).astype(np.float64).sum(0)  # (A, C)
    shares = class_shares(labels, classes)
    return float(np.average(sums, axis=1, weights=shares > 0 if balanced else shares).mean())


def _chord(angle: NDArray[np.float64], squared: bool) -> NDArray[np.float64]:
    chord = 2 * np.sin(np.minimum(angle, np.pi / 2))
    return chord**2 if squared else chord
