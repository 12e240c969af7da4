"""Confidence intervals by the percentile bootstrap over utterances (Efron and Tibshirani 1993)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class Figure:
    """A score with its interval.

    Attributes:
        value: the score of the whole set; None where nothing could be scored.
        lo: lower end of the 95 % interval.
        hi: upper end of the 95 % interval.
        n: utterances that count.
    """

    value: float | None
    lo: float | None
    hi: float | None
    n: int


def mean_figure(values_n: np.ndarray) -> Figure:
    """Mean over utterances; NaN marks an utterance that does not count."""
    values_n = np.asarray(values_n, dtype=np.float64)
    values_n = values_n[~np.isnan(values_n)]
    return ratio_figure(values_n, np.ones_like(values_n))


def ratio_figure(numerator_n: np.ndarray, denominator_n: np.ndarray, scale: float = 1.0) -> Figure:
    """Sum of numerators over sum of denominators, times `scale`: a word error rate, a weighted mean."""
    stats_nK = np.stack([numerator_n, denominator_n], axis=1).astype(np.float64)
    return statistic_figure(stats_nK, lambda sums_RK: scale * sums_RK[:, 0] / sums_RK[:, 1])


def statistic_figure(stats_nK: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Figure:
    """A score that depends on the utterances through sums of K numbers each.

    Args:
        stats_nK: K numbers of each of n utterances.
        statistic: maps sums (R, K) to scores (R,), one for each of R sets of utterances.

    Returns:
        The score of all utterances. Its interval uses the same resamples on every call with the same n, so
        figures of one set of utterances belong together.
    """
    n = len(stats_nK)
    if n == 0:
        return Figure(None, None, None, 0)
    # A resample is told by how often it holds each utterance: drawing, indexing and summing is one product.
    counts_Rn = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    scores_R = statistic(counts_Rn @ stats_nK)
    lo, hi = np.quantile(scores_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = statistic(stats_nK.sum(axis=0, keepdims=True))[0]
    return Figure(float(value), float(lo), float(hi), n)
