"""Scores of a classifier of imbalanced labels: recall of each class, balanced accuracy, and bootstrap intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

import numpy as np

from lmle_core.bootstrap import (
    Interval,
    class_hits,
    class_members,
    mean_over_attributes,
    mean_recalls,
    percentile_interval,
    resampled_accuracies,
)
from lmle_core.celeba.facts import NEAR_RANDOM


@dataclass(frozen=True)
class AttributeScores:
    """How well one attribute is classified.

    Attributes:
        attribute: its name.
        support: images of each class.
        recall: share of each class's images that is recognised; None for a class without images.
        balanced_accuracy: mean recall over the classes that occur; None where fewer than two do.
        total_accuracy: share of all images.
        interval: 95 % bootstrap interval of the balanced accuracy; None without it, or without resamples.
    """

    attribute: str
    support: tuple[int, ...]
    recall: tuple[float | None, ...]
    balanced_accuracy: float | None
    total_accuracy: float
    interval: Interval | None

    @property
    def tpr(self) -> float | None:
        """Binary attributes: recall of class 1."""
        return self.recall[1] if len(self.recall) == 2 else None

    @property
    def tnr(self) -> float | None:
        """Binary attributes: recall of class 0."""
        return self.recall[0] if len(self.recall) == 2 else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        values: dict[str, Any] = {"support": list(self.support), "recall": [rounded(r) for r in self.recall]}
        if len(self.recall) == 2:
            values |= {"tpr": rounded(self.tpr), "tnr": rounded(self.tnr)}
        return values | {
            "balanced_accuracy": rounded(self.balanced_accuracy),
            "total_accuracy": rounded(self.total_accuracy),
            "interval": _rounded_interval(self.interval),
        }

    @classmethod
    def from_json(cls, attribute: str, values: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            attribute=attribute,
            support=tuple(values["support"]),
            recall=tuple(values["recall"]),
            balanced_accuracy=values["balanced_accuracy"],
            total_accuracy=values["total_accuracy"],
            interval=_pair(values["interval"]),
        )


@dataclass(frozen=True)
class Scores:
    """Scores over all attributes; each mean is over those of which at least two classes occur.

    Attributes:
        images: number of images.
        attributes: each attribute's scores, in the order of the label columns.
        mean_balanced_accuracy: the headline figure.
        interval: its 95 % bootstrap interval over images, paired across attributes; None without resamples.
        mean_total_accuracy: mean share of images recognised.
        worst_five_balanced_accuracy: mean of the five lowest balanced accuracies (of all, where there are fewer).
        mean_recall: mean recall of each class, over the attributes in which it occurs; None where it never does.
        mean_without_near_random: mean balanced accuracy without the attributes whose labels are near random; None
            where none of these is present, or nothing else is.
        excluded: attributes of which fewer than two classes occur; they count in none of the means.
    """

    images: int
    attributes: tuple[AttributeScores, ...]
    mean_balanced_accuracy: float
    interval: Interval | None
    mean_total_accuracy: float
    worst_five_balanced_accuracy: float
    mean_recall: tuple[float | None, ...]
    mean_without_near_random: float | None
    excluded: tuple[str, ...]

    @property
    def mean_tpr(self) -> float | None:
        """Binary attributes: mean recall of class 1."""
        return self.mean_recall[1] if len(self.mean_recall) == 2 else None

    @property
    def mean_tnr(self) -> float | None:
        """Binary attributes: mean recall of class 0."""
        return self.mean_recall[0] if len(self.mean_recall) == 2 else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals; the same scores give the same JSON text."""
        values: dict[str, Any] = {
            "images": self.images,
            "mean_balanced_accuracy": rounded(self.mean_balanced_accuracy),
            "interval": _rounded_interval(self.interval),
            "mean_total_accuracy": rounded(self.mean_total_accuracy),
            "worst_five_balanced_accuracy": rounded(self.worst_five_balanced_accuracy),
            "mean_recall": [rounded(recall) for recall in self.mean_recall],
        }
        if len(self.mean_recall) == 2:
            values |= {"mean_tpr": rounded(self.mean_tpr), "mean_tnr": rounded(self.mean_tnr)}
        return values | {
            "mean_without_near_random": rounded(self.mean_without_near_random),
            "excluded": list(self.excluded),
            "attributes": {scores.attribute: scores.to_json() for scores in self.attributes},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            images=values["images"],
            attributes=tuple(AttributeScores.from_json(name, each) for name, each in values["attributes"].items()),
            mean_balanced_accuracy=values["mean_balanced_accuracy"],
            interval=_pair(values["interval"]),
            mean_total_accuracy=values["mean_total_accuracy"],
            worst_five_balanced_accuracy=values["worst_five_balanced_accuracy"],
            mean_recall=tuple(values["mean_recall"]),
            mean_without_near_random=values["mean_without_near_random"],
            excluded=tuple(values["excluded"]),
        )


def score(
    labels: np.ndarray,
    predictions: np.ndarray,
    attributes: Sequence[str],
    n_classes: int = 2,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Scores:
    """Score predictions, attribute by attribute and over all.

    Args:
        labels: (n, A) integers in 0..n_classes-1.
        predictions: (n, A), likewise.
        attributes: names of the A columns.
        n_classes: classes of each attribute.
        bootstrap: resamples of the n images for the intervals; 0: none.
        seed: of the resamples; the same seed and n draw the same images for every classifier.
        groups: (n,), whose image each is, where the resamples are to draw people and not images.

    Raises:
        ValueError: for arrays that disagree, a class out of range, no image, or no attribute with two classes.

    Source: balanced accuracy ½(tp/Np + tn/Nn) of Huang et al., CVPR 2016, section 4; for more classes its general
    form, the mean recall.

    Corner cases: a class without images has recall None and is left out of its attribute's mean. An attribute with
    fewer than two classes has no balanced accuracy and is left out of every overall mean. The same holds within each
    resample, so that rare classes that a resample misses count as absent from it.
    """
    _check(labels, predictions, attributes, n_classes)
    support = class_members(labels, n_classes).sum(axis=0, dtype=np.int64)  # (C, A)
    hits = class_hits(labels, predictions, n_classes).sum(axis=0, dtype=np.int64)
    complete = (support > 0).sum(axis=0) >= 2
    if not complete.any():
        raise ValueError(
            f"labels: none of the {len(attributes)} attributes has two classes among the {len(labels)} images, so "
            "there is no balanced accuracy; score a split with more images"
        )
    balanced = mean_recalls(hits, support)
    intervals: list[Interval | None] = [None] * len(attributes)
    interval = None
    if bootstrap:
        resampled = resampled_accuracies(labels, predictions, n_classes, bootstrap=bootstrap, seed=seed, groups=groups)
        intervals = [percentile_interval(column) if complete[a] else None for a, column in enumerate(resampled.T)]
        interval = percentile_interval(mean_over_attributes(resampled))
    each = tuple(
        AttributeScores(
            attribute=name,
            support=tuple(int(count) for count in support[:, a]),
            recall=tuple(
                float(hit / count) if count else None for hit, count in zip(hits[:, a], support[:, a], strict=True)
            ),
            balanced_accuracy=float(balanced[a]) if complete[a] else None,
            total_accuracy=float(hits[:, a].sum() / len(labels)),
            interval=intervals[a],
        )
        for a, name in enumerate(attributes)
    )
    return _overall(each, interval)


def _check(labels: np.ndarray, predictions: np.ndarray, attributes: Sequence[str], n_classes: int) -> None:
    if labels.ndim != 2 or labels.shape != predictions.shape or labels.shape[1] != len(attributes):
        raise ValueError(
            f"expected labels and predictions of shape (n, {len(attributes)}), one column an attribute; got "
            f"{labels.shape} and {predictions.shape}"
        )
    if len(labels) == 0:
        raise ValueError("labels: expected at least one image, got none; is the split empty?")
    for name, array in (("labels", labels), ("predictions", predictions)):
        wrong = np.argwhere((array < 0) | (array >= n_classes))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"{name}[{row}, {column}] ({attributes[column]}): expected a class in 0..{n_classes - 1}, got "
                f"{array[row, column]}"
            )


def _overall(each: tuple[AttributeScores, ...], interval: Interval | None) -> Scores:
    counted = [scores for scores in each if scores.balanced_accuracy is not None]
    balanced = {s.attribute: s.balanced_accuracy for s in counted if s.balanced_accuracy is not None}
    others = [value for name, value in balanced.items() if name not in NEAR_RANDOM]
    recalls = [[r for r in column if r is not None] for column in zip(*(s.recall for s in counted), strict=True)]
    return Scores(
        images=sum(each[0].support),
        attributes=each,
        mean_balanced_accuracy=fmean(balanced.values()),
        interval=interval,
        mean_total_accuracy=fmean(scores.total_accuracy for scores in counted),
        worst_five_balanced_accuracy=fmean(sorted(balanced.values())[:5]),
        mean_recall=tuple(fmean(column) if column else None for column in recalls),
        mean_without_near_random=fmean(others) if 0 < len(others) < len(balanced) else None,
        excluded=tuple(scores.attribute for scores in each if scores.balanced_accuracy is None),
    )


def rounded(value: float | None) -> float | None:
    """A figure as it is written down: six decimals, no negative zero; None for None and NaN."""
    return None if value is None or math.isnan(value) else round(float(value), 6) + 0.0


def _rounded_interval(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [rounded(end) for end in interval]


def _pair(ends: Sequence[float] | None) -> Interval | None:
    return None if ends is None else (ends[0], ends[1])
