"""Word errors against the textbook's table and jiwer's own corpus rate."""

import jiwer
import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.scoring.intervals import score_interval
from aio_toolkit.scoring.metrics.wer import WordErrorRate

METRIC = WordErrorRate(ALL["asr"])


def sums_of(references, hypotheses) -> np.ndarray:
    """Words, insertions, deletions and substitutions of each pair."""
    pairs = zip(references, hypotheses, strict=True)
    return np.stack([METRIC.sums(*pair) for pair in pairs])


def levenshtein(reference: list[str], hypothesis: list[str]) -> int:
    """The textbook's table."""
    row = list(range(len(hypothesis) + 1))
    for i, r in enumerate(reference, start=1):
        previous, row = row, [i]
        for j, h in enumerate(hypothesis, start=1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (r != h)))
    return row[-1]


def test_errors_are_the_edit_distance(make_sentences):
    references, hypotheses = make_sentences(60)
    pairs = zip(references, hypotheses, strict=True)
    expected = [levenshtein(r.split(), h.split()) for r, h in pairs]
    sums_nK = sums_of(references, hypotheses)
    assert sums_nK[:, 1:].sum(1).tolist() == expected
    assert sums_nK[:, 0].tolist() == [len(r.split()) for r in references]


def test_the_corpus_rate_is_not_the_mean_of_rates(make_sentences):
    references, hypotheses = make_sentences(60)
    interval = score_interval(sums_of(references, hypotheses), METRIC.value)
    assert interval.value == pytest.approx(100 * jiwer.wer(references, hypotheses))
    assert interval.lo < interval.value < interval.hi and interval.n == 60


def test_kinds_of_errors_are_told_apart():
    sums_nK = sums_of(["a b c", "a b", "a"], ["a x c", "a", "a b c"])
    assert sums_nK.tolist() == [[3, 0, 0, 1], [2, 0, 1, 0], [1, 2, 0, 0]]


def test_an_empty_hypothesis_is_all_deletions():
    sums_nK = sums_of(["a b c"], [""])
    assert sums_nK.tolist() == [[3, 0, 3, 0]]
    assert METRIC.value(sums_nK).tolist() == [100.0]


def test_every_word_that_is_heard_in_silence_is_an_insertion():
    sums_nK = sums_of(["", "a b", ""], ["", "a b", "a c a"])
    assert sums_nK.tolist() == [[0, 0, 0, 0], [2, 0, 0, 0], [0, 3, 0, 0]]
    assert METRIC.value(sums_nK.sum(0)[None]).tolist() == [150.0]
    assert METRIC.value(sums_nK).tolist() == [0.0, 0.0, 300.0]


def test_text_is_compared_as_it_is():
    assert METRIC.value(sums_of(["Red cat."], ["red cat"])).tolist() == [100.0]


def test_the_note_counts_errors_by_kind():
    note = METRIC.note(np.array([100.0, 1.0, 2.0, 3.0]))
    assert note == "1 insertions, 2 deletions, 3 substitutions in 100 words."
