"""Word error rate, by jiwer.

Words are what blanks separate; what is done to text before, `TextScorer` does.
"""

from typing import override

import numpy as np

from aio_toolkit.scoring.metrics.base import Metric


class WordErrorRate(Metric):
    """All errors over all reference words, in per cent (corpus level).

    >>> from aio_toolkit.tasks import Task
    >>> wer = WordErrorRate(Task("asr", "", "text", ("text",), ("wer",)))
    >>> wer.value(wer.sums("a b c d", "a c d d")[None])
    array([50.])
    """

    kinds = ("text",)
    title = "WER"
    unit = "%"
    higher_is_better = False
    columns = ("words", "insertions", "deletions", "substitutions")

    @override
    def sums(self, reference: str, answer: str) -> np.ndarray:
        """Counts (4,) under the alignment with the fewest errors.

        An empty answer is all deletions, any answer to an empty reference all insertions.
        """
        # Imported here, as jiwer would slow down those who only ask for a metric's name.
        import jiwer

        output = jiwer.process_words(reference, answer)
        # Those of the reference, as jiwer has split it.
        words = output.hits + output.substitutions + output.deletions
        counts = [
            words,
            output.insertions,
            output.deletions,
            output.substitutions,
        ]
        return np.array(counts, dtype=np.float64)

    @override
    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        """Errors in per cent of the reference words; without any, of one."""
        words_R = sums_RK[:, 0]
        errors_R = sums_RK[:, 1:].sum(1)
        return 100.0 * errors_R / words_R.clip(min=1)

    @override
    def note(self, sums_K: np.ndarray) -> str:
        """Errors by kind."""
        words, *errors = (int(number) for number in sums_K)
        _, *kinds = self.columns
        counts = []
        for count, kind in zip(errors, kinds, strict=True):
            counts.append(f"{count} {kind}")
        listed = ", ".join(counts)
        return f"{listed} in {words} words."
