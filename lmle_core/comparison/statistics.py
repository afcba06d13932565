"""Estimates with 95 % intervals over seeds, and a rank correlation over attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmle_core.bootstrap import CONFIDENCE, Interval, percentile_interval
from lmle_core.metrics import rounded

_EVEN = 1e-9  # differences of values that were rounded to six decimals


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval.

    Attributes:
        mean: the value; the mean, where it is one.
        low: lower end; None where there is no interval.
        high: upper end.
        n: what the interval is over: the number of seeds, of images or of attributes.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def interval(self) -> Interval | None:
        """Both ends."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def off_zero(self) -> bool:
        """Whether there is an interval and 0 is outside it."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        return {"mean": rounded(self.mean), "low": rounded(self.low), "high": rounded(self.high), "n": self.n}


@dataclass(frozen=True)
class Wins:
    """On how many attributes one method is better than another.

    Attributes:
        won: attributes with a mean difference above 0.
        lost: below 0.
        even: of 0.
        clearly_won: those won whose interval over seeds excludes 0.
        clearly_lost: those lost whose interval does.
    """

    won: int
    lost: int
    even: int
    clearly_won: int
    clearly_lost: int


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean over seeds with its 95 % Student t interval: mean ± t(n − 1) s / √n.

    Args:
        values: (n,), one a seed.

    Raises:
        ValueError: without a value, or with one that is not finite.

    Corner cases: a single seed has no interval; equal values have one of width 0.
    """
    from scipy.stats import t  # slow to import

    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"values: expected at least one finite number, got {values}")
    n, mean = len(array), float(array.mean())
    if n == 1:
        return Estimate(mean, None, None, 1)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * array.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - reach, mean + reach, n)


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate:
    """Mean difference ours − theirs with its t interval over seeds, which what seeds have in common leaves alone.

    Args:
        ours: by seed.
        theirs: by the same seeds in the same order.

    Raises:
        ValueError: for other seeds or another order.
    """
    if list(ours) != list(theirs):
        raise ValueError(f"expected the same seeds in the same order, got {list(ours)} and {list(theirs)}")
    return mean_interval([ours[seed] - theirs[seed] for seed in ours])


def attributes_won(ours: ArrayLike, theirs: ArrayLike) -> Wins:
    """On how many attributes ours is better, by the mean difference over seeds.

    Args:
        ours: (S, A) balanced accuracies; NaN where an attribute has none.
        theirs: (S, A).

    Raises:
        ValueError: for arrays that are not of one shape (S, A).

    Corner cases: an attribute counts with the seeds that have it, and not at all without one. With one seed nothing is
    clear. Of 40 attributes without any difference, two are clear by chance.
    """
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if difference.ndim != 2 or np.shape(ours) != np.shape(theirs):
        raise ValueError(f"expected two arrays of one shape (S, A), got {np.shape(ours)} and {np.shape(theirs)}")
    columns = [column[~np.isnan(column)].tolist() for column in difference.T]
    found = [mean_interval(column) for column in columns if column]
    won = [each for each in found if each.mean > _EVEN]
    lost = [each for each in found if each.mean < -_EVEN]
    clear = [sum(each.off_zero for each in side) for side in (won, lost)]
    return Wins(len(won), len(lost), len(found) - len(won) - len(lost), clear[0], clear[1])


def rank_correlation(x: ArrayLike, y: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Estimate | None:
    """Spearman's rank correlation with a percentile bootstrap interval over attributes.

    Args:
        x: (A,).
        y: (A,).
        resamples: draws of A attributes with replacement.
        seed: of the draws.

    Returns:
        None where x or y is constant, so that there is no correlation.

    Raises:
        ValueError: for arrays that are not of one length of at least 3.

    Corner cases: a resample in which one side is constant has no correlation and is left out.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 3:
        raise ValueError(f"expected x and y of one length of at least 3, got {first.shape} and {second.shape}")
    value = float(_spearman(first[None], second[None])[0])
    if np.isnan(value):
        return None
    drawn = np.random.default_rng(seed).integers(len(first), size=(resamples, len(first)))
    low, high = percentile_interval(_spearman(first[drawn], second[drawn])) or (None, None)
    return Estimate(value, low, high, len(first))


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of the ranks of each row, (B, A) to (B,); ties share the mean rank; NaN where a row is constant."""
    from scipy.stats import rankdata  # slow to import

    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (rankdata(x, axis=1), rankdata(y, axis=1)))
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    values: NDArray[np.float64] = np.where(
        scale > 0, (first * second).sum(axis=1) / np.where(scale > 0, scale, 1), np.nan
    )
    return values
