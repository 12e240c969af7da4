"""Confidence intervals by the percentile bootstrap over utterances (Efron and Tibshirani 1993).

Letters: n utterances, K numbers that each contributes, R resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
# How all intervals are made, for who compares them with others.
CONVENTIONS = {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED}

# Maps sums (R, K) over R sets of utterances to scores (R,).
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
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


def mean_interval(values_n: np.ndarray) -> Interval:
    """Mean over utterances; NaN marks an utterance that does not count.

    >>> mean_interval(np.array([1.0, np.nan, 1.0]))
    Interval(value=1.0, lo=1.0, hi=1.0, n=2)
    """
    values_n = np.asarray(values_n, dtype=np.float64)
    one_n = np.ones_like(values_n)
    stats_nK = np.stack([values_n, one_n], axis=1)
    return score_interval(stats_nK, ratio)


def ratio(sums_RK: np.ndarray) -> np.ndarray:
    """The first of two sums over the second: a mean, a rate.

    >>> ratio(np.array([[3.0, 4.0], [1.0, 2.0]]))
    array([0.75, 0.5 ])
    """
    return sums_RK[:, 0] / sums_RK[:, 1]


def score_interval(
    stats_nK: np.ndarray, statistic: Statistic, over_nK: np.ndarray | None = None
) -> Interval:
    """A score that depends on the utterances through sums of K numbers each.

    Its interval uses the same resamples on every call with the same n, so scores of one set of
    utterances belong together.

    Args:
        stats_nK: K numbers of each utterance; a row with NaN does not count.
        statistic: maps sums over sets of utterances to their scores.
        over_nK: the same of something else. The score is then by how much the first exceeds it, and
            the interval is that of the difference, as both are of the same utterances.

    Two errors in 4 words, none in 6, against one error each:

    >>> errors_and_words_nK = np.array([[2.0, 4.0], [0.0, 6.0]])
    >>> others_nK = np.array([[1.0, 4.0], [1.0, 6.0]])
    >>> score_interval(errors_and_words_nK, ratio).value
    0.2
    >>> score_interval(errors_and_words_nK, ratio, others_nK).value
    0.0
    """
    missing_n = np.isnan(stats_nK).any(axis=1)
    if over_nK is not None:
        # An utterance counts for both or for none, or they would not be of the same utterances.
        missing_n |= np.isnan(over_nK).any(axis=1)
    if missing_n.all():
        return Interval(None, None, None, 0)

    value, score_R = _score(stats_nK[~missing_n], statistic)
    if over_nK is not None:
        over_value, over_R = _score(over_nK[~missing_n], statistic)
        value -= over_value
        score_R = score_R - over_R

    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    lo, hi = np.quantile(score_R, ends)
    n = int((~missing_n).sum())
    return Interval(float(value), float(lo), float(hi), n)


def _score(stats_nK: np.ndarray, statistic: Statistic) -> tuple[float, np.ndarray]:
    """The score of all utterances, and the scores (R,) of sets drawn with replacement."""
    n = len(stats_nK)
    generator = np.random.default_rng(SEED)
    share_n = np.full(n, 1 / n)
    # A resample is told by how often it holds each utterance: drawing, indexing and summing is one
    # product.
    drawn_Rn = generator.multinomial(n, share_n, size=RESAMPLES)
    sums_RK = drawn_Rn @ stats_nK
    sums_1K = stats_nK.sum(axis=0, keepdims=True)
    (value,) = statistic(sums_1K)
    return value, statistic(sums_RK)
