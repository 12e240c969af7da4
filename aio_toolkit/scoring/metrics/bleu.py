"""Corpus BLEU, by sacrebleu with its defaults (Papineni et al. 2002; Post 2018)."""

from typing import Any, override

import numpy as np

from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.tasks import Task

ORDERS = range(1, 5)


class Bleu(Metric):
    """BLEU of the corpus, from lengths and n-gram counts of its sentences.

    >>> from types import SimpleNamespace
    >>> options = SimpleNamespace(language="fr")
    >>> bleu = Bleu(Task("st", "", "text", ("text.fr",), ("bleu",), options))
    >>> bleu.value(bleu.sums("le chat voit le chien", "le chat voit le chien")[None]).round(3)
    array([100.])
    """

    kinds = ("text",)
    title = "BLEU"
    columns = (
        "hypothesis_length",
        "reference_length",
        *(f"matches{n}" for n in ORDERS),
        *(f"ngrams{n}" for n in ORDERS),
    )

    def __init__(self, task: Task):
        super().__init__(task)
        # Effective order matters for the sentence's own score only; without it, sacrebleu warns of
        # every short sentence.
        self.sentences = self._make(effective_order=True)
        self.corpus = self._make()

    def _make(self, **options: Any) -> Any:
        # Imported here, as sacrebleu would slow down those who only ask for a metric's name.
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(trg_lang=self.task.options.language, **options)

    @override
    def sums(self, reference: str, answer: str) -> np.ndarray:
        """What corpus BLEU sums over sentences (10,): two lengths, matches, n-grams."""
        score = self.sentences.sentence_score(answer, [reference])
        numbers = [score.sys_len, score.ref_len]
        numbers += score.counts
        numbers += score.totals
        return np.array(numbers, dtype=np.float64)

    @override
    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        """BLEU of each set; it is no ratio of sums, so one at a time."""
        scores = [self._score(sums_K) for sums_K in sums_RK]
        return np.array(scores)

    def _score(self, sums_K: np.ndarray) -> float:
        answer_length, reference_length, *counts = (int(number) for number in sums_K)
        matches, ngrams = counts[: len(ORDERS)], counts[len(ORDERS) :]
        score = self.corpus.compute_bleu(
            matches,
            ngrams,
            answer_length,
            reference_length,
            smooth_method=self.corpus.smooth_method,
            # Only of a corpus without any sentence of four words this is another score than the
            # default, which is 0 for it even if every word is right.
            effective_order=True,
        )
        return score.score

    @override
    def note(self, sums_K: np.ndarray) -> str:
        """Version and settings of sacrebleu."""
        # A signature exists only after a score.
        self.corpus.corpus_score(["a"], [["a"]])
        signature = self.corpus.get_signature()
        return f"sacrebleu {signature}."
