"""BLEU against sacrebleu's own corpus scores and intervals."""

import time

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from tiny import ALL

from aio_toolkit.scoring.intervals import Interval, score_interval
from aio_toolkit.scoring.metrics.bleu import Bleu
from aio_toolkit.tasks import Task

METRIC = Bleu(ALL["st"])


def sums_of(references, hypotheses) -> np.ndarray:
    pairs = zip(references, hypotheses, strict=True)
    return np.stack([METRIC.sums(*pair) for pair in pairs])


def bleu_of(references, hypotheses) -> Interval:
    return score_interval(sums_of(references, hypotheses), METRIC.value)


def test_bleu_is_that_of_sacrebleu(make_sentences):
    references, hypotheses = make_sentences(60)
    hypotheses[3] = ""
    want = BLEU().corpus_score(hypotheses, [references]).score
    assert bleu_of(references, hypotheses).value == pytest.approx(want)


def test_the_note_is_sacrebleu_s_signature():
    theirs = BLEU()
    theirs.corpus_score(["a"], [["a"]])
    note = METRIC.note(np.ones(10))
    assert note == f"sacrebleu {theirs.get_signature()}." and "tok:13a" in note


def test_words_of_languages_without_blanks_are_split_by_rules_of_their_own():
    options = type(ALL["st"].options)(language="zh")
    chinese = Bleu(Task("st", "", "text", ("text.zh",), ("bleu",), options))
    assert chinese.sums("你好世界", "你好")[:2].tolist() == [2, 4]
    assert "tok:zh" in chinese.note(np.ones(10))


def test_bleu_of_few_words_is_smoothed_as_sacrebleu_smooths():
    """No 4-gram matches here, which without smoothing would be a score of zero."""
    references, hypotheses = ["le chat mange du pain", "oui"], ["le chat boit du pain", "oui"]
    want = BLEU().corpus_score(hypotheses, [references]).score
    assert want > 0 and bleu_of(references, hypotheses).value == pytest.approx(want)


def test_sentences_of_few_words_that_are_right_score_full():
    """Nowhere are there four words in a row, for which sacrebleu's default is 0."""
    assert bleu_of(["oui", "le chat"], ["oui", "le chat"]).value == pytest.approx(100)
    assert bleu_of(["oui"], ["non"]).value == 0
    references, hypotheses = ["le chat dort", "oui"], ["le chat mange", "oui"]
    want = BLEU(effective_order=True).corpus_score(hypotheses, [references]).score
    assert 0 < want < 100 and bleu_of(references, hypotheses).value == pytest.approx(want)


def test_statistics_of_sentences_add_up_to_those_of_the_corpus(make_sentences):
    references, hypotheses = make_sentences(20)
    stats_nK = sums_of(references, hypotheses)
    corpus = BLEU().corpus_score(hypotheses, [references])
    want = [corpus.sys_len, corpus.ref_len, *corpus.counts, *corpus.totals]
    assert stats_nK.sum(0).tolist() == want
    assert stats_nK[:, 0].tolist() == [len(h.split()) for h in hypotheses]


def test_every_statistic_has_a_name():
    assert len(METRIC.columns) == len(METRIC.sums("a b", "a"))


def test_the_interval_of_bleu_is_that_of_sacrebleu(make_sentences):
    references, hypotheses = make_sentences(150)
    theirs = BLEU().corpus_score(hypotheses, [references], n_bootstrap=1000)
    interval = bleu_of(references, hypotheses)
    assert (interval.hi - interval.lo) / 2 == pytest.approx(theirs._ci, rel=0.1)


def test_only_empty_hypotheses_score_nothing():
    interval = bleu_of(["le chat mange", "oui"], ["", ""])
    assert (interval.value, interval.lo, interval.hi) == (0.0, 0.0, 0.0)


def test_1000_resamples_of_150_sentences_take_little_time(make_sentences):
    references, hypotheses = make_sentences(150)
    start = time.perf_counter()
    bleu_of(references, hypotheses)
    assert time.perf_counter() - start < 5
