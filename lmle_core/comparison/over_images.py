"""The difference of two classifiers over several seeds, with an interval that the chance of the test images gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmle_core.bootstrap import (
    class_hits,
    class_members,
    mean_over_attributes,
    mean_recalls,
    percentile_interval,
    resampled_accuracies,
)
from lmle_core.comparison.statistics import Estimate


@dataclass(frozen=True, eq=False)
class Pair:
    """Two classifiers on the same n test images.

    Attributes:
        labels: (n, A) integers in 0..C-1.
        ours: (n, A), decided classes.
        theirs: (n, A), those of the other classifier.
        groups: (n,), whose image each is, where resamples are to draw people; None: they draw images.
    """

    labels: NDArray[np.integer]
    ours: NDArray[np.integer]
    theirs: NDArray[np.integer]
    groups: NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("labels", "ours", "theirs")}
        if len(set(shapes.values())) > 1 or self.labels.ndim != 2:
            raise ValueError(f"expected three arrays of one shape (n, A), got {shapes}")


def paired_over_images(
    pairs: Sequence[Pair], n_classes: int = 2, *, shared: bool = False, bootstrap: int = 1000, seed: int = 0
) -> Estimate:
    """Mean difference ours − theirs in mean balanced accuracy, with a bootstrap interval over the test images.

    Each resample draws the images of every seed anew, or whose images they are (`Pair.groups`), the same ones for both
    classifiers, and averages the difference over the seeds. The interval says what the chance of the test images is
    worth; the chance of training is in `paired`.

    Args:
        pairs: one a seed.
        n_classes: C.
        shared: every seed has the same test images in the same order: they also share the draws, without which the
            interval would be too narrow by up to the root of the number of seeds.
        bootstrap: resamples.
        seed: of the resamples.

    Returns:
        n is the number of images over all seeds, or of the shared ones.

    Raises:
        ValueError: without a pair, for shared images that differ in number, or without an attribute that has two
            classes.

    Corner cases: an attribute of which a resample holds fewer than two classes is left out of that resample, for both.
    """
    sizes = [len(pair.labels) for pair in pairs]
    if not pairs or (shared and len(set(sizes)) > 1):
        raise ValueError(f"pairs: expected at least one{' and equally many images' if shared else ''}, got {sizes}")
    points, draws = [], []
    for number, pair in enumerate(pairs):
        points.append(_difference(_accuracies(pair, n_classes)[None])[0])
        own = seed if shared else int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])
        draws.append(_difference(_resampled(pair, n_classes, bootstrap, own)))
    if np.isnan(points).any():
        raise ValueError(f"pairs[{int(np.argmax(np.isnan(points)))}]: no attribute has two classes among the images")
    low, high = percentile_interval(np.mean(draws, axis=0)) or (None, None)
    return Estimate(float(np.mean(points)), low, high, sizes[0] if shared else sum(sizes))


def paired_by_attribute(
    pair: Pair, n_classes: int = 2, *, bootstrap: int = 1000, seed: int = 0
) -> list[Estimate | None]:
    """Difference ours − theirs in balanced accuracy of each attribute, with its bootstrap interval over the images.

    Args:
        pair: of one seed.
        n_classes: C.
        bootstrap: resamples; the same ones as `paired_over_images` draws for shared images.
        seed: of the resamples.

    Returns:
        A of them; None where fewer than two classes occur.

    Corner cases: a resample in which fewer than two classes of an attribute occur does not count for its interval.
    """
    points = np.subtract(*np.split(_accuracies(pair, n_classes), 2))
    draws = np.subtract(*np.split(_resampled(pair, n_classes, bootstrap, seed), 2, axis=1))
    found: list[Estimate | None] = []
    for point, column in zip(points, draws.T, strict=True):
        low, high = percentile_interval(column) or (None, None)
        found.append(None if np.isnan(point) else Estimate(float(point), low, high, len(pair.labels)))
    return found


def _resampled(pair: Pair, n_classes: int, bootstrap: int, seed: int) -> NDArray[np.float64]:
    """Balanced accuracies on each resample, ours and theirs side by side so that both have the same draws, (B, 2A)."""
    both, labels = np.hstack([pair.ours, pair.theirs]), np.hstack([pair.labels, pair.labels])
    return resampled_accuracies(labels, both, n_classes, bootstrap=bootstrap, seed=seed, groups=pair.groups)


def _accuracies(pair: Pair, n_classes: int) -> NDArray[np.float64]:
    """Balanced accuracies of ours and then of theirs, (2A,)."""
    support = class_members(pair.labels, n_classes).sum(axis=0)
    hits = [class_hits(pair.labels, found, n_classes).sum(axis=0) for found in (pair.ours, pair.theirs)]
    return np.concatenate([mean_recalls(each, support) for each in hits])


def _difference(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, 2A), ours and theirs side by side, to the (B,) differences of their means over attributes."""
    ours, theirs = np.split(accuracies, 2, axis=1)
    return mean_over_attributes(ours) - mean_over_attributes(theirs)
