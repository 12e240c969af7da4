"""Intervals against slow resampling, theory and coverage."""

import numpy as np
import pytest

from aio_toolkit.scoring.bootstrap import (
    RESAMPLES,
    Figure,
    mean_figure,
    ratio_figure,
    statistic_figure,
)


def test_the_value_is_that_of_the_whole_set():
    values = np.random.default_rng(0).standard_normal(50)
    assert mean_figure(values).value == pytest.approx(values.mean())
    assert ratio_figure([1, 2], [10, 20], scale=100.0).value == pytest.approx(10.0)


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
    figure = ratio_figure(errors_n, words_n, scale=100.0)
    # Ends of 1000 resamples lie within a fifth of a standard deviation; those of 90 or 99 % do not.
    tolerance = 0.2 * 100 * ratios.std()
    want = 100 * np.quantile(ratios, [0.025, 0.975])
    assert [figure.lo, figure.hi] == pytest.approx(list(want), abs=tolerance)
    assert figure.value == pytest.approx(100 * errors_n.sum() / words_n.sum())


def test_an_interval_of_two_utterances_reaches_from_one_to_the_other():
    """Each is drawn twice in a quarter of the resamples."""
    assert mean_figure([3.0, 8.0]) == Figure(5.5, 3.0, 8.0, 2)


def test_figures_of_the_same_utterances_use_the_same_resamples():
    values = np.random.default_rng(4).standard_normal(30)
    first, second = mean_figure(values), mean_figure(5 + 2 * values)
    assert second.lo == pytest.approx(5 + 2 * first.lo)
    assert second.hi == pytest.approx(5 + 2 * first.hi)


def test_the_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(2).standard_normal(2000)
    figure = mean_figure(values)
    assert figure.hi - figure.lo == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(3)
    figures = [mean_figure(rng.exponential(size=80)) for _ in range(300)]
    assert 0.90 < np.mean([f.lo <= 1.0 <= f.hi for f in figures]) < 0.98


def test_nan_does_not_count():
    assert mean_figure([1.0, np.nan, 3.0]) == mean_figure([1.0, 3.0]) == Figure(2.0, 1.0, 3.0, 2)


def test_nothing_to_score_is_none_and_not_nan():
    assert mean_figure([np.nan]) == Figure(None, None, None, 0)


def test_one_utterance_has_no_spread():
    assert mean_figure([4.0]) == Figure(4.0, 4.0, 4.0, 1)


def test_a_statistic_sees_sums_of_its_own_columns():
    figure = statistic_figure(np.ones((7, 3)), lambda sums_RK: sums_RK.sum(axis=1))
    assert figure == Figure(21.0, 21.0, 21.0, 7)
    assert RESAMPLES >= 1000
