"""WER and BLEU against slow references and the libraries' own corpus scores."""

import time

import jiwer
import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from aio_toolkit.scoring.text import WordErrors, corpus_bleu, word_error_rate, word_errors

WORDS = ["le", "la", "chat", "chien", "mange", "boit", "eau", "pain", "vite", "bien", "."]


def _sentences(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    references = [list(rng.choice(WORDS, rng.integers(3, 14))) for _ in range(n)]
    hypotheses = [
        [str(rng.choice(WORDS)) if rng.random() < 0.3 else w for w in r[rng.integers(2) :]] for r in references
    ]
    return [" ".join(r) for r in references], [" ".join(h) for h in hypotheses]


def levenshtein(reference: list[str], hypothesis: list[str]) -> int:
    """The textbook's table."""
    row = list(range(len(hypothesis) + 1))
    for i, r in enumerate(reference, start=1):
        previous, row = row, [i]
        for j, h in enumerate(hypothesis, start=1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (r != h)))
    return row[-1]


def test_errors_are_the_edit_distance():
    references, hypotheses = _sentences(60)
    expected = [levenshtein(r.split(), h.split()) for r, h in zip(references, hypotheses, strict=True)]
    assert [e.total for e in word_errors(references, hypotheses)] == expected


def test_the_corpus_rate_is_not_the_mean_of_rates():
    references, hypotheses = _sentences(60)
    figure = word_error_rate(word_errors(references, hypotheses))
    assert figure.value == pytest.approx(100 * jiwer.wer(references, hypotheses))
    assert figure.lo < figure.value < figure.hi and figure.n == 60


def test_kinds_of_errors_are_told_apart():
    errors = word_errors(["a b c", "a b", "a"], ["a x c", "a", "a b c"])
    assert errors == [WordErrors(3, 0, 0, 1), WordErrors(2, 0, 1, 0), WordErrors(1, 2, 0, 0)]


def test_an_empty_hypothesis_is_all_deletions():
    errors = word_errors(["a b c"], [""])
    assert errors == [WordErrors(3, 0, 3, 0)]
    assert word_error_rate(errors).value == 100.0


def test_bleu_is_that_of_sacrebleu():
    references, hypotheses = _sentences(60)
    hypotheses[3] = ""
    figure, signature = corpus_bleu(references, hypotheses)
    bleu = BLEU()
    assert figure.value == pytest.approx(bleu.corpus_score(hypotheses, [references]).score)
    assert signature == str(bleu.get_signature()) and "tok:13a" in signature


def test_the_interval_of_bleu_is_that_of_sacrebleu():
    references, hypotheses = _sentences(150)
    theirs = BLEU().corpus_score(hypotheses, [references], n_bootstrap=1000)
    figure, _ = corpus_bleu(references, hypotheses)
    assert (figure.hi - figure.lo) / 2 == pytest.approx(theirs._ci, rel=0.1)


def test_only_empty_hypotheses_score_nothing():
    figure, _ = corpus_bleu(["le chat mange", "oui"], ["", ""])
    assert (figure.value, figure.lo, figure.hi) == (0.0, 0.0, 0.0)


def test_1000_resamples_of_150_sentences_take_little_time():
    references, hypotheses = _sentences(150)
    start = time.perf_counter()
    corpus_bleu(references, hypotheses)
    assert time.perf_counter() - start < 5
