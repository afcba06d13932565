"""Champion or challenger: the decision between two classifiers on the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmle_core.comparison.over_images import Pair, paired_by_attribute, paired_over_images
from lmle_core.comparison.statistics import Estimate
from lmle_core.comparison.wording import markdown_table, signed
from lmle_core.config import Promotion
from lmle_core.metrics import score

NAMED = 5
"""Attributes that an objection names, the largest loss first."""


@dataclass(frozen=True)
class Verdict:
    """How a challenger stands against the champion, and whether it takes its place.

    Attributes:
        images: number of test images.
        challenger: its mean balanced accuracy, 0 to 1.
        champion: likewise.
        gain: challenger minus champion, with the 95 % interval that the chance of the test images gives.
        attributes: the same for each attribute; None where fewer than two of its classes occur.
        objections: why the challenger is not promoted; none: it is.
    """

    images: int
    challenger: float
    champion: float
    gain: Estimate
    attributes: dict[str, Estimate | None]
    objections: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        """Whether the challenger becomes the champion."""
        return not self.objections

    @property
    def reason(self) -> str:
        """In a sentence."""
        return "; ".join(self.objections) or f"gains {signed(self.gain)} points, and no attribute loses too much"

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        return {
            "promoted": self.promoted,
            "reason": self.reason,
            "images": self.images,
            "challenger": round(self.challenger, 6),
            "champion": round(self.champion, 6),
            "gain": self.gain.to_json(),
            "attributes": {name: each and each.to_json() for name, each in self.attributes.items()},
        }

    def markdown(self) -> str:
        """What an operator reads, the largest loss first."""
        known = sorted(self.attributes.items(), key=lambda pair: pair[1].mean if pair[1] else np.inf)
        rows = [("mean", signed(self.gain)), *((name, signed(each) or "one class only") for name, each in known)]
        return (
            f"{'Promoted' if self.promoted else 'Not promoted'}: {self.reason}.\n\n"
            f"Mean balanced accuracy on {self.images:,} frozen test images: challenger {100 * self.challenger:.2f} %, "
            f"champion {100 * self.champion:.2f} %.\n\n"
        ) + markdown_table([("attribute", "challenger − champion, points (95 %)"), *rows], kept=2)


def judge(
    labels: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray,
    attributes: Sequence[str],
    rule: Promotion,
    n_classes: int = 2,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Verdict:
    """Decide between two classifiers.

    The challenger is promoted where the lower end of the interval of its gain in mean balanced accuracy is above
    `rule.least_gain`, and no attribute's balanced accuracy is lower by more than `rule.most_loss`.

    Args:
        labels: (n, A) integers in 0..C-1.
        challenger: (n, A), decided classes.
        champion: (n, A), likewise.
        attributes: names of the A columns.
        rule: what is asked for, in points.
        n_classes: C.
        bootstrap: resamples of the images.
        seed: of the resamples.
        groups: (n,), whose image each is, where the resamples are to draw people and not images.

    Raises:
        ValueError: for arrays that disagree, or without an attribute that has two classes.

    Corner cases: without an interval nothing is certain, and the challenger is not promoted.
    """
    pair = Pair(labels, challenger, champion, groups)
    gain = paired_over_images([pair], n_classes, shared=True, bootstrap=bootstrap, seed=seed)
    each = dict(zip(attributes, paired_by_attribute(pair, n_classes, bootstrap=bootstrap, seed=seed), strict=True))
    objections = []
    if gain.low is None or not 100 * gain.low > rule.least_gain:
        objections.append(
            f"the gain of {signed(gain)} points is not certain to be above promotion.least_gain {rule.least_gain:g}"
        )
    known = sorted((one.mean, name, one) for name, one in each.items() if one is not None)
    lost = [f"{name} {signed(one)}" for mean, name, one in known if 100 * mean < -rule.most_loss]
    if lost:
        others = f", and {len(lost) - NAMED} other attributes" if len(lost) > NAMED else ""
        objections.append(
            f"{', '.join(lost[:NAMED])} points{others}, more than promotion.most_loss {rule.most_loss:g} allows to lose"
        )
    ours, theirs = (score(labels, found, attributes, n_classes, bootstrap=0) for found in (challenger, champion))
    return Verdict(
        images=len(labels),
        challenger=ours.mean_balanced_accuracy,
        champion=theirs.mean_balanced_accuracy,
        gain=gain,
        attributes=each,
        objections=tuple(objections),
    )
