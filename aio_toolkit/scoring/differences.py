"""Scores of systems that were trained several times, their differences, and intervals of both.

A score depends on the seed of the training and on the utterances that it was measured on. Both are
samples, and an interval that is to hold for other seeds and other utterances has to hold both
sources of spread. So a system's scores are a table of its seeds by clusters of utterances (those of
one speaker are no independent samples), analysed as a two-way layout without replication. The
percentile bootstrap over utterances (`scoring.intervals`) knows nothing of seeds, and over three
seeds it would cover much less than it says.

Letters: S seeds, C clusters, K numbers that a cluster contributes, R sets of utterances.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from aio_toolkit.scoring.intervals import LEVEL, Statistic

# Seeds of each of two systems from which one may be called worse, and from which better.
SEEDS_TO_REJECT, SEEDS_TO_CLAIM = 2, 3
# Smaller ones are not told apart.
LEAST_P = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or a difference of two.

    Attributes:
        value: it.
        lo: lower end of its 95 % interval; None where a single seed or cluster gives none.
        hi: upper end.
        p: of the two-sided test that the true value is 0: 0.05 where the interval ends there.
    """

    value: float
    lo: float | None = None
    hi: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class _Part:
    """A part of a variance: an estimate, and its degrees of freedom."""

    variance: float
    freedom: float


def cluster_sums(stats_nK: np.ndarray, clusters: Sequence[str]) -> np.ndarray:
    """Sums (C, K) over the utterances of each cluster, clusters in alphabetical order.

    Args:
        stats_nK: K numbers of each of n utterances.
        clusters: the cluster of each, such as its speaker.

    >>> cluster_sums(np.array([[1.0], [2.0], [4.0]]), ["bob", "ann", "bob"]).tolist()
    [[2.0], [5.0]]
    """
    names, place_n = np.unique(np.asarray(clusters), return_inverse=True)
    sums_CK = np.zeros((len(names), stats_nK.shape[1]))
    np.add.at(sums_CK, place_n, stats_nK)
    return sums_CK


def pseudo_values(sums_CK: np.ndarray, statistic: Statistic) -> np.ndarray:
    """What each cluster contributes (C,) to a score, by the jackknife (Tukey 1958).

    Scores such as WER and BLEU are no means over clusters. Their pseudo-values stand in for the
    terms of a mean: C times the score of all, less C - 1 times the score without the cluster. They
    are moved so that their mean is the score itself, as the jackknife would correct it for bias.

    Args:
        sums_CK: sums over each of several clusters.
        statistic: maps sums (R, K) to scores (R,).

    >>> from aio_toolkit.scoring.intervals import ratio
    >>> pseudo_values(np.array([[1.0, 1.0], [2.0, 1.0], [6.0, 1.0]]), ratio)  # a plain mean
    array([1., 2., 6.])
    """
    total_K = sums_CK.sum(0)
    (whole,) = statistic(total_K[None])
    # Of a single cluster nothing would be left.
    if len(sums_CK) == 1:
        return np.array([whole])
    without_C = statistic(total_K - sums_CK)
    return whole + (len(sums_CK) - 1) * (without_C.mean() - without_C)


def mean(values_SC: np.ndarray) -> Estimate:
    """The mean of a system's pseudo-values over seeds and clusters, with its interval.

    >>> mean(np.array([[1.0, 2.0, 3.0]]))  # of one seed
    Estimate(value=2.0, lo=None, hi=None, p=None)
    """
    return _estimate([values_SC], [1.0])


def difference(values_SC: np.ndarray, first_SC: np.ndarray) -> Estimate:
    """By how much one system's mean exceeds another's, paired by cluster and not by seed.

    Seeds of two systems are taken for independent: the same number starts other weights in another
    model. Where they draw the same data all the same, the interval is wider than it has to be.

    Args:
        values_SC: pseudo-values of a system.
        first_SC: those of the system that it is compared with, of as many seeds as there are and of
            the same clusters.

    >>> first_SC = np.array([[1.0, 2.0, 3.0], [1.2, 2.2, 2.9]])
    >>> found = difference(first_SC + 1, first_SC)
    >>> round(found.value, 6), found.lo > 0, found.p < 0.05
    (1.0, True, True)
    """
    return _estimate([values_SC, first_SC], [1.0, -1.0])


def _estimate(tables: Sequence[np.ndarray], signs: Sequence[float]) -> Estimate:
    """The signed sum of the means of tables (S, C), each of a system, and its interval.

    Its variance is estimated by seeds/S + clusters/C - residual/(S C) as that of a two-way layout
    (Cameron, Gelbach and Miller 2011): seeds and clusters both hold the residual, which would else
    count twice.
    """
    value = float(sum(sign * table.mean() for sign, table in zip(signs, tables, strict=True)))
    num_clusters = tables[0].shape[1]
    if num_clusters < 2 or any(len(table) < 2 for table in tables):
        return Estimate(value)

    seeds = _joined([_seeds(table) for table in tables])
    # Paired: what is hard for all systems is no spread of their difference.
    paired_C = sum(sign * table.mean(0) for sign, table in zip(signs, tables, strict=True))
    clusters = float(np.var(paired_C, ddof=1)) / num_clusters
    residual = sum(_residual(table) for table in tables)
    # The true variance is below neither of its parts. With few clusters and much residual the
    # estimate often is, and its intervals would be too short.
    variance = max(seeds.variance + clusters - residual, seeds.variance, clusters)
    if variance == 0:
        # The same answers to everything, whatever the seed.
        return Estimate(value, value, value, float(value == 0))
    rest = _Part(variance - seeds.variance, num_clusters - 1)
    reach = _reach(1 - LEVEL, seeds, rest)
    return Estimate(value, value - reach, value + reach, _p_value(abs(value), seeds, rest))


def _seeds(table_SC: np.ndarray) -> _Part:
    """The part of the seeds in the variance of a table's mean."""
    num_seeds = len(table_SC)
    return _Part(float(np.var(table_SC.mean(1), ddof=1)) / num_seeds, num_seeds - 1)


def _joined(parts: Sequence[_Part]) -> _Part:
    """The sum of independent parts, its degrees of freedom as Satterthwaite (1946) has them."""
    variance = sum(part.variance for part in parts)
    if variance == 0:
        return parts[0]
    return _Part(variance, variance**2 / sum(part.variance**2 / part.freedom for part in parts))


def _residual(table_SC: np.ndarray) -> float:
    """What neither seed nor cluster explains, as a part of the variance of a table's mean."""
    rows_S1, columns_C = table_SC.mean(1, keepdims=True), table_SC.mean(0)
    residual_SC = table_SC - rows_S1 - columns_C + table_SC.mean()
    num_seeds, num_clusters = table_SC.shape
    freedom = (num_seeds - 1) * (num_clusters - 1)
    return float(np.square(residual_SC).sum()) / freedom / table_SC.size


def _reach(alpha: float, seeds: _Part, rest: _Part) -> float:
    """Half the length of an interval that misses the truth in a share `alpha` of all cases.

    Each part has the quantile of its own degrees of freedom (Howe 1974). Satterthwaite's of the
    whole are many wherever seeds happen to agree, just when their variance is underestimated: of
    two or three seeds beside forty speakers such intervals hold the truth in 87 to 93 %.
    """
    squares = [special.stdtrit(part.freedom, alpha / 2) ** 2 for part in (seeds, rest)]
    return float(np.sqrt(squares[0] * seeds.variance + squares[1] * rest.variance))


def _p_value(distance: float, seeds: _Part, rest: _Part) -> float:
    """The share of cases that an interval misses which just reaches as far as `distance`."""
    if distance == 0:
        return 1.0

    def beyond(log_alpha: float) -> float:
        return _reach(np.exp(log_alpha), seeds, rest) - distance

    least = np.log(LEAST_P)
    if beyond(least) <= 0:
        return LEAST_P
    return float(np.exp(optimize.brentq(beyond, least, 0.0)))


def holm[T](p_values: Mapping[T, float]) -> dict[T, float]:
    """p-values corrected for their number (Holm 1979): no false finding among all in 95 % of cases.

    >>> holm({"asr": 0.01, "sep": 0.03, "enh": 0.02})
    {'asr': 0.03, 'enh': 0.04, 'sep': 0.04}
    """
    corrected: dict[T, float] = {}
    largest = 0.0
    ordered = sorted(p_values, key=p_values.__getitem__)
    for place, key in enumerate(ordered):
        # A larger p-value must not end below a smaller one.
        largest = max(largest, min(1.0, (len(ordered) - place) * p_values[key]))
        corrected[key] = largest
    return corrected


def mark(gain: float, p: float, num_seeds: int) -> str:
    """What may be said of a system: `better`, `worse`, or `no evidence`.

    Args:
        gain: by how much it is better than the one that it is compared with.
        p: of that difference, corrected for the number of all.
        num_seeds: seeds of the system that has fewer.

    >>> mark(0.5, 0.01, num_seeds=3), mark(-0.5, 0.01, num_seeds=2), mark(0.5, 0.2, num_seeds=3)
    ('better', 'worse', 'no evidence')
    >>> mark(0.5, 0.01, num_seeds=2)  # two seeds reject an idea, three claim it
    'no evidence'
    """
    needed = SEEDS_TO_CLAIM if gain > 0 else SEEDS_TO_REJECT
    if p > 1 - LEVEL or num_seeds < needed:
        return "no evidence"
    return "better" if gain > 0 else "worse"
