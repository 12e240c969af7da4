"""WER by jiwer and BLEU by sacrebleu, with bootstrap intervals.

Text is compared as it stands in the data dir: no case folding, no removal of punctuation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aio_toolkit.scoring.bootstrap import Figure, ratio_figure, statistic_figure


@dataclass(frozen=True)
class WordErrors:
    """Errors of one hypothesis against its reference of `words` words."""

    words: int
    insertions: int
    deletions: int
    substitutions: int

    @property
    def total(self) -> int:
        """All errors."""
        return self.insertions + self.deletions + self.substitutions


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> list[WordErrors]:
    """Errors of each pair under the alignment with the fewest; an empty hypothesis is all deletions."""
    import jiwer

    errors = []
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        output = jiwer.process_words(reference, hypothesis)
        words = output.hits + output.substitutions + output.deletions
        errors.append(WordErrors(words, output.insertions, output.deletions, output.substitutions))
    return errors


def word_error_rate(errors: Sequence[WordErrors]) -> Figure:
    """Corpus-level word error rate in per cent: all errors over all reference words."""
    total_n = np.array([e.total for e in errors], dtype=np.float64)
    words_n = np.array([e.words for e in errors], dtype=np.float64)
    return ratio_figure(total_n, words_n, scale=100.0)


def bleu_statistics(references: Sequence[str], hypotheses: Sequence[str]) -> np.ndarray:
    """What corpus BLEU sums over sentences: (n, 10), two lengths, matches and n-grams of orders 1 to 4."""
    from sacrebleu.metrics import BLEU

    # Effective order matters for the sentence's own score only, and spares a warning per sentence.
    bleu = BLEU(effective_order=True)
    scores = [bleu.sentence_score(h, [r]) for r, h in zip(references, hypotheses, strict=True)]
    return np.array([[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in scores], dtype=np.int64).reshape(-1, 10)


def corpus_bleu(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[Figure, str]:
    """Corpus BLEU with sacrebleu's defaults, and sacrebleu's signature, which names them."""
    from sacrebleu.metrics import BLEU

    bleu = BLEU()
    bleu.corpus_score(list(hypotheses), [list(references)])  # a signature exists only after a score

    def score(sums_K: np.ndarray) -> float:
        system, reference, *counts = (int(x) for x in sums_K)
        return BLEU.compute_bleu(counts[:4], counts[4:], system, reference, smooth_method=bleu.smooth_method).score

    stats_nK = bleu_statistics(references, hypotheses)
    figure = statistic_figure(stats_nK, lambda sums_RK: np.array([score(sums_K) for sums_K in sums_RK]))
    return figure, str(bleu.get_signature())
