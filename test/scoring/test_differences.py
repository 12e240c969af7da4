"""Intervals over seeds and utterances: slow references, closed forms, coverage of known truth."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from aio_toolkit.scoring.differences import (
    cluster_sums,
    difference,
    holm,
    mark,
    mean,
    pseudo_values,
)
from aio_toolkit.scoring.intervals import mean_interval, ratio

NAMES = ("seeds", "speakers", "residual", "both", "all")
# Standard deviations of seeds, of speakers in common and of one system's, and of the residual.
SPREADS = {
    "seeds": (1.0, 1.0, 0.1, 0.5),
    "speakers": (0.02, 1.0, 1.0, 0.1),
    "residual": (0.0, 1.0, 0.0, 1.0),
    # Where degrees of freedom of the whole would make intervals of two seeds that cover 87 %.
    "both": (0.2, 0.3, 0.3, 0.1),
    "all": (0.1, 1.0, 0.5, 0.5),
}


# --- sums and pseudo-values ---


def test_sums_of_a_cluster_are_those_of_its_utterances():
    stats_nK = np.arange(12.0).reshape(6, 2)
    clusters = ["c", "a", "c", "b", "a", "c"]
    want = [[stats_nK[[c == name for c in clusters], k].sum() for k in range(2)] for name in "abc"]
    assert cluster_sums(stats_nK, clusters).tolist() == want


def test_pseudo_values_are_those_of_the_jackknife_moved_to_the_score():
    rng = np.random.default_rng(0)
    sums_CK = rng.integers(1, 20, (7, 2)).astype(float)
    whole = sums_CK[:, 0].sum() / sums_CK[:, 1].sum()
    slow = []
    for left_out in range(7):
        rest_CK = np.delete(sums_CK, left_out, axis=0)
        slow.append(7 * whole - 6 * rest_CK[:, 0].sum() / rest_CK[:, 1].sum())
    slow = np.array(slow) - np.mean(slow) + whole
    np.testing.assert_allclose(pseudo_values(sums_CK, ratio), slow)


def test_a_single_cluster_contributes_the_score():
    assert pseudo_values(np.array([[3.0, 4.0]]), ratio).tolist() == [0.75]


# --- estimates ---


def tables(rng, spreads, num_seeds, num_clusters, shift=0.0):
    """Scores of two systems of a two-way layout, the second one better by `shift`."""
    of_seed, common, own, residual = spreads
    shared_C = common * rng.standard_normal(num_clusters)
    made = []
    for level, count in zip((0.0, shift), num_seeds, strict=True):
        seed_S1 = of_seed * rng.standard_normal((count, 1))
        own_C = own * rng.standard_normal(num_clusters)
        noise_SC = residual * rng.standard_normal((count, num_clusters))
        made.append(level + seed_S1 + shared_C + own_C + noise_SC)
    return made


def slow_parts(table) -> tuple[float, float]:
    """Mean squares of seeds and residual, number by number."""
    S, C = len(table), len(table[0])
    grand = sum(map(sum, table)) / (S * C)
    row = [sum(table[s]) / C for s in range(S)]
    column = [sum(table[s][c] for s in range(S)) / S for c in range(C)]
    seeds = C * sum((row[s] - grand) ** 2 for s in range(S)) / (S - 1)
    pairs = itertools.product(range(S), range(C))
    squares = sum((table[s][c] - row[s] - column[c] + grand) ** 2 for s, c in pairs)
    return seeds, squares / (S - 1) / (C - 1)


def slow_interval(made, signs):
    """The interval by mean squares of each system, and of the pairs; the parts have no floor."""
    C = len(made[0][0])
    column, squares, seeds, residuals = np.zeros(C), 0.0, 0.0, 0.0
    for table, sign in zip(made, signs, strict=True):
        S = len(table)
        of_seeds, of_residual = slow_parts(table)
        seeds += of_seeds / (S * C)
        squares += (of_seeds / (S * C)) ** 2 / (S - 1)
        residuals += of_residual / (S * C)
        column += sign * np.array([sum(table[s][c] for s in range(S)) / S for c in range(C)])
    value = column.sum() / C
    clusters = sum((x - value) ** 2 for x in column) / (C - 1) / C
    assert seeds < clusters and residuals < seeds  # as intervals without a floor need it
    t_seeds, t_rest = stats.t.ppf(0.975, seeds**2 / squares), stats.t.ppf(0.975, C - 1)
    reach = math.sqrt(t_seeds**2 * seeds + t_rest**2 * (clusters - residuals))
    return value, value - reach, value + reach


@pytest.mark.parametrize("num_seeds", [(2, 2), (3, 3), (3, 5)])
def test_intervals_are_those_of_a_slow_analysis_of_variance(num_seeds):
    first, second = tables(np.random.default_rng(3), SPREADS["all"], num_seeds, 11, shift=0.4)
    found = difference(second, first)
    want = slow_interval([second.tolist(), first.tolist()], [1, -1])
    assert (found.value, found.lo, found.hi) == pytest.approx(want)
    alone, want = mean(first), slow_interval([first.tolist()], [1])
    assert (alone.value, alone.lo, alone.hi) == pytest.approx(want)


def test_a_p_value_is_5_percent_where_the_interval_ends_at_zero():
    first, second = tables(np.random.default_rng(6), SPREADS["all"], (3, 3), 11)
    found = difference(second, first)
    for end, outward in ((found.lo, -0.01), (found.hi, 0.01)):
        assert difference(second - end, first).p == pytest.approx(0.05)
        assert difference(second - end - outward, first).p < 0.05
        assert difference(second - end + outward, first).p > 0.05


def test_a_p_value_of_next_to_nothing_is_no_error():
    first, second = tables(np.random.default_rng(6), SPREADS["all"], (3, 3), 11)
    assert 0 < difference(second + 1e9, first).p < 1e-6
    assert difference(second, second).p == 1.0


def test_where_only_seeds_differ_it_is_the_test_of_welch():
    rng = np.random.default_rng(1)
    speakers_C = rng.standard_normal(9)
    first_S, second_S = rng.standard_normal(3), 0.5 + 2 * rng.standard_normal(4)
    found = difference(second_S[:, None] + speakers_C, first_S[:, None] + speakers_C)
    want = stats.ttest_ind(second_S, first_S, equal_var=False)
    interval = want.confidence_interval(0.95)
    assert (found.lo, found.hi, found.p) == pytest.approx(
        (interval.low, interval.high, want.pvalue)
    )


def test_where_seeds_do_not_matter_it_is_the_paired_test_of_student():
    first_C, second_C = np.random.default_rng(2).standard_normal((2, 8))
    found = difference(np.tile(second_C, (3, 1)), np.tile(first_C, (2, 1)))
    want = stats.ttest_rel(second_C, first_C)
    interval = want.confidence_interval(0.95)
    assert (found.lo, found.hi, found.p) == pytest.approx(
        (interval.low, interval.high, want.pvalue)
    )


def test_what_is_hard_for_both_systems_is_no_spread_of_their_difference():
    first, second = tables(np.random.default_rng(4), (0.1, 0.0, 0.1, 0.1), (3, 3), 20)
    hard_C = 100 * np.random.default_rng(5).standard_normal(20)
    plain, paired = difference(second, first), difference(second + hard_C, first + hard_C)
    assert (paired.lo, paired.hi, paired.p) == pytest.approx((plain.lo, plain.hi, plain.p))
    alone = mean(first + hard_C)
    assert alone.hi - alone.lo > 20 * (paired.hi - paired.lo)


def test_the_variance_is_not_below_that_of_seeds_or_speakers():
    """A residual that goes the other way in the other seed leaves no spread of means."""
    table_SC = np.array([[1.0, -1.0, 2.0], [-1.0, 1.0, -1.7]])
    of_seeds, of_speakers = (np.var(table_SC.mean(axis), ddof=1) for axis in (1, 0))
    assert of_seeds / 2 > of_speakers / 3
    want = stats.ttest_1samp(table_SC.mean(1), 0).confidence_interval(0.95)
    found = mean(table_SC)
    assert (found.lo, found.hi) == pytest.approx((want.low, want.high))

    # The same numbers, seeds and speakers exchanged.
    t_seeds, t_rest = stats.t.ppf(0.975, [2, 1])
    few, many = of_speakers / 3, of_seeds / 2
    reach = math.sqrt(t_seeds**2 * few + t_rest**2 * (many - few))
    turned = mean(table_SC.T)
    assert (turned.lo, turned.hi) == pytest.approx((found.value - reach, found.value + reach))


def test_a_single_seed_or_speaker_has_no_interval():
    many, one_seed, one_speaker = np.eye(3), np.eye(3)[:1], np.eye(3)[:, :1]
    for found in (difference(many, one_seed), difference(one_seed, many), mean(one_speaker)):
        assert (found.lo, found.hi, found.p) == (None, None, None)
    assert difference(many, one_seed).value == 0.0


def test_a_system_does_not_differ_from_itself():
    same = np.tile([1.0, 2.0, 4.0], (3, 1))
    found = difference(same, same)
    assert (found.value, found.lo, found.hi, found.p) == (0.0, 0.0, 0.0, 1.0)


# --- coverage: in how many of many experiments the interval holds the truth ---

ROUNDS = 1000


def share_held(experiment, truth: float, rounds: int = ROUNDS) -> float:
    held = 0
    for seed in range(rounds):
        found = experiment(np.random.default_rng(seed))
        held += found.lo <= truth <= found.hi
    return held / rounds


@pytest.mark.parametrize("num_seeds", [(2, 2), (3, 3)])
@pytest.mark.parametrize("num_clusters", [8, 40])
@pytest.mark.parametrize("name", NAMES)
def test_intervals_of_differences_hold_the_truth(name, num_clusters, num_seeds):
    def experiment(rng):
        first, second = tables(rng, SPREADS[name], num_seeds, num_clusters, shift=0.3)
        return difference(second, first)

    assert share_held(experiment, 0.3) >= 0.93


@pytest.mark.parametrize("num_seeds", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_intervals_of_means_hold_the_truth(name, num_seeds):
    def experiment(rng):
        return mean(tables(rng, SPREADS[name], (num_seeds, 2), 40)[0])

    assert share_held(experiment, 0.0) >= 0.93


def test_a_bootstrap_over_utterances_does_not_hold_it_where_seeds_dominate():
    """So the simulation can tell bad intervals from good ones."""

    def experiment(rng):
        first, second = tables(rng, SPREADS["seeds"], (3, 3), 40)
        return mean_interval((second - first).mean(0))

    assert share_held(experiment, 0.0, rounds=100) < 0.5


def rates(rng, rate: float, words_C, hard_C) -> np.ndarray:
    """Errors and words of each speaker in three trainings: their rate is known in the mean."""
    luck_S1 = np.exp(0.1 * rng.standard_normal((3, 1)) - 0.1**2 / 2)
    errors_SC = rng.poisson(rate * luck_S1 * hard_C * words_C)
    return np.stack([errors_SC, np.broadcast_to(words_C, errors_SC.shape)], axis=2)


def test_intervals_of_word_error_rates_hold_the_truth():
    """Speakers say more or less, and are hard or easy for both systems."""

    def experiment(rng):
        words_C = rng.integers(4, 80, 30)
        hard_C = rng.gamma(4, 1 / 4, 30)
        values = []
        for rate in (0.2, 0.25):
            sums_SCK = rates(rng, rate, words_C, hard_C).astype(float)
            values.append(np.stack([pseudo_values(sums_CK, ratio) for sums_CK in sums_SCK]))
        return difference(values[1], values[0])

    assert share_held(experiment, 0.05) >= 0.93


def geometric(sums_RK: np.ndarray) -> np.ndarray:
    """BLEU without a penalty: the geometric mean of the precisions of four orders."""
    precision_R4 = sums_RK[:, :4] / sums_RK[:, 4:]
    return 100 * np.exp(np.log(precision_R4).mean(1))


def test_intervals_of_a_score_like_bleu_hold_the_truth():
    precisions = np.array([[0.7, 0.5, 0.4, 0.3], [0.72, 0.53, 0.43, 0.34]])

    def experiment(rng):
        ngrams_C4 = rng.integers(5, 25, (40, 1)) - np.arange(4)
        easy_C1 = rng.uniform(0.7, 1.3, (40, 1))
        values = []
        for of_system in precisions:
            luck_S = rng.uniform(0.95, 1.05, 3)
            seeds = [rng.binomial(ngrams_C4, luck * easy_C1 * of_system) for luck in luck_S]
            sums = [np.hstack([hits_C4, ngrams_C4]).astype(float) for hits_C4 in seeds]
            values.append(np.stack([pseudo_values(sums_CK, geometric) for sums_CK in sums]))
        return difference(values[1], values[0])

    truth = 100 * np.exp(np.log(precisions).mean(1))
    assert share_held(experiment, truth[1] - truth[0]) >= 0.93


# --- what may be said ---


def holm_by_definition(p_values: list[float]) -> set[int]:
    """Step down: reject the smallest while it is below 5 % over those that are left."""
    rejected: set[int] = set()
    for place, index in enumerate(np.argsort(p_values)):
        if p_values[index] > 0.05 / (len(p_values) - place):
            break
        rejected.add(int(index))
    return rejected


def test_what_holm_corrects_is_rejected_as_in_his_definition():
    rng = np.random.default_rng(7)
    for _ in range(200):
        p_values = (0.1 * rng.random(rng.integers(1, 8)) ** 2).tolist()
        corrected = holm(dict(enumerate(p_values)))
        assert {index for index, p in corrected.items() if p <= 0.05} == holm_by_definition(
            p_values
        )


def test_corrected_values_are_those_of_the_textbook_and_at_most_one():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize(
    ("gain", "p", "num_seeds", "said"),
    [
        (0.1, 0.05, 3, "better"),
        (0.1, 0.051, 3, "no evidence"),
        (0.1, 0.0, 2, "no evidence"),
        (-0.1, 0.05, 3, "worse"),
        (-0.1, 0.05, 2, "worse"),
        (-0.1, 0.051, 2, "no evidence"),
        (-0.1, 0.0, 1, "no evidence"),
    ],
)
def test_two_seeds_reject_and_three_claim(gain, p, num_seeds, said):
    assert mark(gain, p, num_seeds) == said
