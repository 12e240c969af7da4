"""Intervals against slow resampling, theory and coverage."""

import numpy as np
import pytest

from aio_toolkit.scoring.intervals import (
    RESAMPLES,
    Interval,
    mean_interval,
    ratio,
    score_interval,
)


def rate_interval(numerator_n, denominator_n) -> Interval:
    """A hundred times the sum of numerators over that of denominators."""
    stats_nK = np.stack([numerator_n, denominator_n], axis=1)
    return score_interval(stats_nK, lambda sums_RK: 100.0 * ratio(sums_RK))


def test_the_value_is_that_of_the_whole_set():
    values = np.random.default_rng(0).standard_normal(50)
    assert mean_interval(values).value == pytest.approx(values.mean())
    assert rate_interval([1, 2], [10, 20]).value == pytest.approx(10.0)


def resampled_one_by_one(numerator_n, denominator_n, rounds: int) -> np.ndarray:
    """Ratios of sets drawn with replacement, utterance by utterance."""
    rng, n = np.random.default_rng(1), len(numerator_n)
    ratios = []
    for _ in range(rounds):
        drawn = rng.integers(0, n, n)
        ratios.append(sum(numerator_n[drawn]) / sum(denominator_n[drawn]))
    return np.array(ratios)


@pytest.mark.parametrize("n", [7, 60])
def test_an_interval_holds_95_in_100_of_slowly_resampled_ratios(n):
    rng = np.random.default_rng(n)
    words_n = rng.integers(5, 20, n)
    errors_n = rng.integers(0, words_n)
    ratios = resampled_one_by_one(errors_n, words_n, 4000)
    interval = rate_interval(errors_n, words_n)
    # Ends of 1000 resamples lie within a fifth of a standard deviation; those of 90 or 99 % do not.
    tolerance = 0.2 * 100 * ratios.std()
    want = 100 * np.quantile(ratios, [0.025, 0.975])
    assert [interval.lo, interval.hi] == pytest.approx(list(want), abs=tolerance)
    assert interval.value == pytest.approx(100 * errors_n.sum() / words_n.sum())


def test_an_interval_of_two_utterances_reaches_from_one_to_the_other():
    """Each is drawn twice in a quarter of the resamples."""
    assert mean_interval([3.0, 8.0]) == Interval(5.5, 3.0, 8.0, 2)


def test_intervals_of_the_same_utterances_use_the_same_resamples():
    values = np.random.default_rng(4).standard_normal(30)
    first, second = mean_interval(values), mean_interval(5 + 2 * values)
    assert second.lo == pytest.approx(5 + 2 * first.lo)
    assert second.hi == pytest.approx(5 + 2 * first.hi)


def test_the_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(2).standard_normal(2000)
    interval = mean_interval(values)
    width = interval.hi - interval.lo
    assert width == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(3)
    intervals = [mean_interval(rng.exponential(size=80)) for _ in range(300)]
    assert 0.90 < np.mean([i.lo <= 1.0 <= i.hi for i in intervals]) < 0.98


def test_nan_does_not_count():
    want = Interval(2.0, 1.0, 3.0, 2)
    assert mean_interval([1.0, np.nan, 3.0]) == mean_interval([1.0, 3.0]) == want


@pytest.mark.parametrize("values", [[], [np.nan], [np.nan, np.nan]])
def test_nothing_to_score_is_none_and_not_nan(values):
    assert mean_interval(values) == Interval(None, None, None, 0)


def test_one_utterance_has_no_spread():
    assert mean_interval([4.0]) == Interval(4.0, 4.0, 4.0, 1)


def test_a_statistic_sees_sums_of_its_own_columns():
    interval = score_interval(np.ones((7, 3)), lambda sums_RK: sums_RK.sum(axis=1))
    assert interval == Interval(21.0, 21.0, 21.0, 7)
    assert RESAMPLES >= 1000


# --- how much one thing exceeds another ---


def pairs(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Values that differ by much among utterances and by little within one."""
    rng = np.random.default_rng(5)
    over_n = 20 * rng.standard_normal(n)
    return over_n + 3 + 0.1 * rng.standard_normal(n), over_n


def with_ones(values_n: np.ndarray) -> np.ndarray:
    return np.stack([values_n, np.ones_like(values_n)], axis=1)


def test_a_gain_of_means_is_the_mean_of_gains_with_its_interval():
    values_n, over_n = pairs()
    gain = score_interval(with_ones(values_n), ratio, with_ones(over_n))
    want = mean_interval(values_n - over_n)
    assert (gain.value, gain.lo, gain.hi) == pytest.approx((want.value, want.lo, want.hi))
    assert gain.hi - gain.lo < 0.2, "the spread among utterances does not count"


def test_a_gain_of_rates_is_the_difference_of_the_corpus_rates():
    """Not the mean of differences: utterances have different numbers of words."""
    errors_nK = np.array([[1.0, 2.0], [1.0, 10.0]])
    others_nK = np.array([[0.0, 2.0], [5.0, 10.0]])
    gain = score_interval(errors_nK, ratio, others_nK)
    assert gain.value == pytest.approx(2 / 12 - 5 / 12)
    assert (gain.lo, gain.hi) == pytest.approx((0.1 - 0.5, 0.5 - 0.0))


def test_an_utterance_counts_for_both_or_for_none():
    values_n, over_n = pairs(6)
    values_n[1] = over_n[4] = np.nan
    both = [0, 2, 3, 5]
    gain = score_interval(with_ones(values_n), ratio, with_ones(over_n))
    assert gain == score_interval(with_ones(values_n[both]), ratio, with_ones(over_n[both]))
    assert gain.n == 4


def test_a_gain_over_nothing_is_none():
    values_n, _ = pairs(3)
    nothing_nK = np.full((3, 1), np.nan)
    gain = score_interval(with_ones(values_n), ratio, nothing_nK)
    assert gain == Interval(None, None, None, 0)
