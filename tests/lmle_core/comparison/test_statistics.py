"""Intervals against scipy and against loops over the same draws, and how often they cover the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmle_core.comparison import Estimate, Wins, attributes_won, mean_interval, paired, rank_correlation

seeds = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=2, max_size=8)


@given(values=seeds)
def test_the_interval_over_seeds_is_student_s(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    if error > 1e-9:
        expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
        assert found.interval == pytest.approx(expected)
        assert found.off_zero == (stats.ttest_1samp(values, 0).pvalue < 0.05)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(0.3, 0.1, size=3).tolist()).interval or (1, 1) for _ in range(1000)]
    assert 930 <= sum(low <= 0.3 <= high for low, high in intervals) <= 970


def test_one_seed_has_no_interval_and_equal_seeds_one_without_width() -> None:
    assert mean_interval([0.5]) == Estimate(0.5, None, None, 1)
    assert not mean_interval([0.5]).off_zero
    assert mean_interval([0.5, 0.5, 0.5]) == Estimate(0.5, 0.5, 0.5, 3)
    for wrong in ([], [0.5, float("nan")]):
        with pytest.raises(ValueError, match="at least one finite number"):
            mean_interval(wrong)


def test_pairing_takes_away_what_the_seeds_have_in_common() -> None:
    common = {0: 0.5, 1: 0.7, 2: 0.9}
    ours = {seed: value + 0.02 + 0.001 * seed for seed, value in common.items()}
    found = paired(ours, common)
    assert found.mean == pytest.approx(0.021)
    assert found.interval == pytest.approx(mean_interval([0.020, 0.021, 0.022]).interval)
    for other in ({0: 0.5, 1: 0.7}, {1: 0.7, 0: 0.5, 2: 0.9}):
        with pytest.raises(ValueError, match=r"same seeds in the same order, got \[0, 1, 2\]"):
            paired(ours, other)


@given(draw=st.integers(0, 10_000), count=st.integers(1, 5))
@settings(max_examples=40)
def test_wins_are_those_of_a_loop(draw: int, count: int) -> None:
    rng = np.random.default_rng(draw)
    ours, theirs = rng.integers(0, 4, size=(2, count, 12)) / 100
    ours[rng.random(ours.shape) < 0.1] = np.nan
    won = lost = even = clear_won = clear_lost = 0
    for a in range(12):
        gains = [float(p - q) for p, q in zip(ours[:, a], theirs[:, a], strict=True) if not np.isnan(p - q)]
        if not gains:
            continue
        total = round(sum(gains), 6)
        clear = mean_interval([round(gain, 6) for gain in gains]).off_zero
        won, lost, even = won + (total > 0), lost + (total < 0), even + (total == 0)
        clear_won, clear_lost = clear_won + (clear and total > 0), clear_lost + (clear and total < 0)
    assert attributes_won(ours, theirs) == Wins(won, lost, even, clear_won, clear_lost)
    assert attributes_won(theirs, ours) == Wins(lost, won, even, clear_lost, clear_won)


def test_wins_need_two_tables_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"one shape \(S, A\), got \(2, 3\) and \(3,\)"):
        attributes_won(np.zeros((2, 3)), np.zeros(3))


@given(draw=st.integers(0, 10_000), count=st.integers(4, 15))
@settings(max_examples=30)
def test_the_rank_correlation_and_its_interval_are_scipys(draw: int, count: int) -> None:
    rng = np.random.default_rng(draw)
    x, y = rng.integers(0, 8, size=(2, count)).astype(np.float64)
    x[:2], y[:2] = (0, 9), (0, 9)
    found = rank_correlation(x, y, resamples=50, seed=3)
    assert found is not None
    assert found.mean == pytest.approx(stats.spearmanr(x, y).statistic)
    drawn = np.random.default_rng(3).integers(count, size=(50, count))
    slow = [stats.spearmanr(x[row], y[row]).statistic for row in drawn if np.ptp(x[row]) > 0 and np.ptp(y[row]) > 0]
    assert found.interval == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
    assert rank_correlation(np.exp(x), 2 * y, resamples=50, seed=3) == found


def test_a_constant_side_has_no_rank_correlation() -> None:
    assert rank_correlation(np.arange(5), np.zeros(5)) is None
    with pytest.raises(ValueError, match=r"one length of at least 3, got \(2,\) and \(2,\)"):
        rank_correlation([1, 2], [1, 2])
