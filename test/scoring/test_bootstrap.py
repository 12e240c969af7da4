"""Intervals against slow resampling, theory and coverage."""

import numpy as np
import pytest

from aio_toolkit.scoring.bootstrap import RESAMPLES, Figure, mean_figure, ratio_figure, statistic_figure


def test_the_value_is_that_of_the_whole_set():
    values = np.random.default_rng(0).standard_normal(50)
    assert mean_figure(values).value == pytest.approx(values.mean())
    assert ratio_figure([1, 2], [10, 20], scale=100.0).value == pytest.approx(10.0)


def test_agrees_with_resampling_one_set_after_the_other():
    rng = np.random.default_rng(1)
    errors, words = rng.integers(0, 5, 60), rng.integers(5, 20, 60)
    picks = [rng.integers(0, 60, 60) for _ in range(4000)]
    lo, hi = np.quantile([errors[p].sum() / words[p].sum() for p in picks], [0.025, 0.975])
    figure = ratio_figure(errors, words)
    assert (figure.lo, figure.hi) == (pytest.approx(lo, abs=0.006), pytest.approx(hi, abs=0.006))


def test_the_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(2).standard_normal(2000)
    figure = mean_figure(values)
    assert figure.hi - figure.lo == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(3)
    figures = [mean_figure(rng.exponential(size=80)) for _ in range(300)]
    assert 0.90 < np.mean([f.lo <= 1.0 <= f.hi for f in figures]) < 0.98


def test_the_same_scores_have_the_same_interval():
    values = np.random.default_rng(4).standard_normal(30)
    assert mean_figure(values) == mean_figure(values)


def test_nan_does_not_count():
    assert mean_figure([1.0, np.nan, 3.0]).value == 2.0
    assert mean_figure([1.0, np.nan, 3.0]).n == 2


def test_nothing_to_score_is_none_and_not_nan():
    assert mean_figure([np.nan]) == Figure(None, None, None, 0)


def test_one_utterance_has_no_spread():
    assert mean_figure([4.0]) == Figure(4.0, 4.0, 4.0, 1)


def test_a_statistic_sees_sums_of_its_own_columns():
    figure = statistic_figure(np.ones((7, 3)), lambda sums_RK: sums_RK.sum(axis=1))
    assert figure == Figure(21.0, 21.0, 21.0, 7)
    assert RESAMPLES >= 1000
