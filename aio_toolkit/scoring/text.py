"""Scores of text: a hypothesis against its reference."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, override

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums

HYPOTHESIS, FLOOR = "hypothesis", "floor"


class TextScorer(Scorer):
    """Every metric of the task on the hypothesis, and on the answer that most often is right.

    >>> from aio_toolkit.tasks import Task
    >>> task = Task("asr", "", "text", ("text",), ("wer",))
    >>> utterance = Utterance("asr-1", task, "ann", "1.wav", 16000, {"text": "a b"})
    >>> (sums_K,) = TextScorer(task, {}, 16000).score(utterance, "a").values()
    >>> sums_K.tolist()  # words, insertions, deletions, substitutions
    [2.0, 0.0, 1.0, 0.0]
    """

    outputs = (HYPOTHESIS,)
    columns = (Column("score", HYPOTHESIS), Column("floor", FLOOR, with_interval=False))
    legend = "Text: floor = the most frequent sentence of the training data, whatever is said."
    floor: str | None = None

    @override
    def fit(self, train: Sequence[Utterance], dev: Sequence[Utterance]) -> None:
        """Find the most frequent sentence."""
        (target,) = self.task.targets
        counts = Counter(sorted(utterance.answers[target] for utterance in train))
        [(self.floor, _)] = counts.most_common(1)

    @override
    def bounds_of(self) -> dict[str, Any]:
        """That sentence."""
        return {"floor": self.floor}

    @override
    def bounds(self, utterance: Utterance) -> Sums:
        """The numbers of the floor."""
        return {} if self.floor is None else self._sums(utterance, FLOOR, self.floor)

    @override
    def score(self, utterance: Utterance, answer: str) -> Sums:
        """The numbers of the only target."""
        return self._sums(utterance, HYPOTHESIS, answer)

    def _sums(self, utterance: Utterance, output: str, answer: str) -> Sums:
        (target,) = self.task.targets
        reference = utterance.answers[target]
        sums = {}
        for name, metric in self.metrics.items():
            sums[Key(output, target, name)] = metric.sums(reference, answer)
        return sums
