"""Kinds of claims: each with the comparison, the rival and the threshold that it is measured by.

A claim is measured on the labels as annotated, the reference by its own rule, paired by seed, with the 95 % t interval
over seeds. A claim to be ahead is reached where the mean difference is the threshold or more and, if it is to be clear,
the whole interval is above 0; one to be near where the whole interval is within the threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.study_records import Measured
from lmle_core.comparison import Difference, Estimate, Key, Standing, paired
from lmle_core.comparison.statistics import mean_interval
from lmle_core.comparison.wording import seeds_text, signed, signed_interval


@dataclass(frozen=True)
class Finding:
    """What a claim comes to.

    Attributes:
        estimate: the value that the threshold is for, with its interval.
        shown: the value as text.
        over_images: the bootstrap interval over test images, or people where known, as text; '' where it is not known.
        reached: whether the claim holds.
        rival: that it was measured against; None where there is none.
    """

    estimate: Estimate
    shown: str
    over_images: str
    reached: bool
    rival: Key | None


class Claim(Protocol):
    """A claim, measured by comparisons."""

    @property
    def study(self) -> str:
        """Whose data it is about, as text."""

    @property
    def text(self) -> str:
        """The claim itself."""

    @property
    def threshold(self) -> str:
        """From where on it holds, as text."""

    def measured(self, found: Mapping[str, Measured]) -> Finding | None:
        """What the comparisons, by name, say; None where they lack what the claim needs."""


@dataclass(frozen=True)
class Ahead:
    """The reference is ahead of a rival by so much.

    Attributes:
        study: whose data, as text.
        text: the claim.
        comparison: that measures it.
        rivals: method and rule; of several the one with the highest balanced accuracy on the test images counts, which
            is the hardest choice.
        least: mean difference in mean balanced accuracy, 0 to 1.
        clear: the interval over seeds has to be above 0.
    """

    study: str
    text: str
    comparison: str
    rivals: tuple[Key, ...]
    least: float
    clear: bool = True

    @property
    def threshold(self) -> str:
        """In points."""
        return _points(self.least) + " or more" + (", interval above 0" if self.clear else "")

    def measured(self, found: Mapping[str, Measured]) -> Finding | None:
        """The paired difference to the hardest rival."""
        if self.comparison not in found:
            return None
        hardest = strongest(found[self.comparison], self.rivals)
        if hardest is None:
            return None
        standing, difference = hardest
        ahead = difference.over_seeds
        reached = _at_least(ahead.mean, self.least) and (not self.clear or _above_zero(ahead))
        return Finding(ahead, signed(ahead), signed_interval(difference.over_images), reached, standing.key)


@dataclass(frozen=True)
class LosesLess:
    """From one comparison to a harder one, the reference loses so much less than a rival; paired by seed."""

    study: str
    text: str
    first: str
    last: str
    rival: Key
    least: float

    @property
    def threshold(self) -> str:
        """In points."""
        return f"{_points(self.least)} or more, interval above 0"

    def measured(self, found: Mapping[str, Measured]) -> Finding | None:
        """Loss of the rival − loss of the reference, each the balanced accuracy of the first − that of the last."""
        if self.first not in found or self.last not in found:
            return None
        first, last = found[self.first], found[self.last]
        ours = last.comparison.reference
        if any(side.find(key) is None for side in (first, last) for key in (ours, self.rival)):
            return None
        seeds = [seed for seed in first.comparison.seeds if seed in last.comparison.seeds]
        if not seeds:
            return None

        def losses(key: Key) -> dict[int, float]:
            before, after = first.per_seed(key), last.per_seed(key)
            return {seed: before[seed] - after[seed] for seed in seeds}

        less = paired(losses(self.rival), losses(ours))
        mean_losses = [100 * mean_interval(list(losses(key).values())).mean for key in (ours, self.rival)]
        lost = f"{mean_losses[0]:.1f} lost against {mean_losses[1]:.1f}".replace("-", "−")
        shown = f"{signed(less)}; {lost}, {seeds_text(seeds)} in common"
        return Finding(less, shown, "", _at_least(less.mean, self.least) and _above_zero(less), self.rival)


@dataclass(frozen=True)
class GrowsWithImbalance:
    """Over attributes, the gain over a rival rises with the imbalance, by rank correlation."""

    study: str
    text: str
    comparison: str
    rival: Key

    @property
    def threshold(self) -> str:
        """Of the correlation."""
        return "rank correlation, interval above 0"

    def measured(self, found: Mapping[str, Measured]) -> Finding | None:
        """Spearman's ρ of the attributes' gains with their imbalance."""
        standing = found[self.comparison].find(self.rival) if self.comparison in found else None
        if standing is None or standing.difference is None or standing.difference.against_imbalance is None:
            return None
        trend = standing.difference.against_imbalance
        return Finding(trend, f"ρ = {signed(trend, scale=1)}", "", _above_zero(trend), self.rival)


@dataclass(frozen=True)
class KeepsSpread:
    """No embedding of the reference collapses, in any seed of any comparison."""

    study: str
    text: str
    least: float

    @property
    def threshold(self) -> str:
        """Of the spread."""
        return f"least spread above {self.least:g}"

    def measured(self, found: Mapping[str, Measured]) -> Finding | None:
        """The least spread of all seeds."""
        spreads = [
            value for each in found.values() for value in each.per_seed(each.comparison.reference, "spread").values()
        ]
        if not spreads:
            return None
        least = min(spreads)
        shown = f"{least:.2f} in {len(spreads)} trainings of {len(found)} comparisons"
        return Finding(Estimate(least, None, None, len(spreads)), shown, "", least > self.least, None)


@dataclass(frozen=True)
class Within:
    """A method stays within so much of the reference, at so many times its training time or less.

    Attributes:
        study: whose data, as text.
        text: the claim.
        comparison: that measures it.
        method: by its own rule.
        most: difference in mean balanced accuracy that the interval over seeds stays within, 0 to 1.
        times: seconds of training over those of the reference, paired by seed.
    """

    study: str
    text: str
    comparison: str
    method: str
    most: float
    times: float

    @property
    def threshold(self) -> str:
        """Both."""
        return f"at most {_points(self.most)} behind, the whole interval, at most {self.times:g}× the time"

    def measured(self, found: Mapping[str, Measured]) -> Finding | None:
        """The reference − the method, and the ratio of seconds."""
        if self.comparison not in found or self.method not in found[self.comparison].rules:
            return None
        measured = found[self.comparison]
        key = (self.method, measured.rules[self.method])
        standing = measured.find(key)
        if standing is None or standing.difference is None:
            return None
        behind = standing.difference.over_seeds
        ours, theirs = (measured.per_seed(key, "seconds") for key in (measured.comparison.reference, key))
        times = mean_interval([theirs[seed] / ours[seed] for seed in ours]).mean
        reached = behind.high is not None and _at_least(self.most, behind.high) and times <= self.times
        shown = f"{signed(behind)} at {times:.1f}× the time"
        return Finding(behind, shown, signed_interval(standing.difference.over_images), reached, key)


def strongest(measured: Measured, keys: tuple[Key, ...]) -> tuple[Standing, Difference] | None:
    """Of several methods and rules the one with the highest mean balanced accuracy on the test images as annotated."""
    known = [
        (standing, standing.difference)
        for standing in measured.comparison.standings
        if standing.key in keys and standing.difference is not None
    ]
    return max(known, key=lambda each: _balanced(each[0]), default=None)


def _points(value: float) -> str:
    """'1 point', '0.5 points'."""
    return f"{100 * value:g} point{'' if value == 0.01 else 's'}"


def _balanced(standing: Standing) -> float:
    estimate = standing.scores["balanced_accuracy"]
    return float("-inf") if estimate is None else estimate.mean


def _at_least(value: float, threshold: float) -> bool:
    return value >= threshold - 1e-9  # the record is rounded, the threshold is not representable


def _above_zero(estimate: Estimate) -> bool:
    return estimate.low is not None and estimate.low > 0


def verdict(finding: Finding | None) -> str:
    """'reached', 'not reached' or 'not measured'."""
    if finding is None:
        return "not measured"
    return "**reached**" if finding.reached else "not reached"
