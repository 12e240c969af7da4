"""Scores of text: a hypothesis against its reference."""

from typing import override

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums

HYPOTHESIS = "hypothesis"


class TextScorer(Scorer):
    """Every metric of the task on the hypothesis."""

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
