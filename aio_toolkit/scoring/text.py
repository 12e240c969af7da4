"""Scores of text: a hypothesis against its reference."""

from typing import override

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums

HYPOTHESIS = "hypothesis"


class TextScorer(Scorer):
    """Every metric of the task on the hypothesis.

    >>> from aio_toolkit.tasks import Task
    >>> task = Task("asr", "", "text", ("text",), ("wer",))
    >>> utterance = Utterance("asr-1", task, "ann", "1.wav", 16000, {"text": "a b"})
    >>> (sums_K,) = TextScorer(task, {}, 16000).score(utterance, "a").values()
    >>> sums_K.tolist()  # words, insertions, deletions, substitutions
    [2.0, 0.0, 1.0, 0.0]
    """

    columns = (Column("score", HYPOTHESIS),)

    @override
    def score(self, utterance: Utterance, answer: str) -> Sums:
        """The numbers of the only target."""
        (target,) = self.task.targets
        reference = utterance.answers[target]
        sums = {}
        for name, metric in self.metrics.items():
            sums[Key(HYPOTHESIS, target, name)] = metric.sums(reference, answer)
        return sums
