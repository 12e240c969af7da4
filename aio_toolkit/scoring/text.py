"""Scores of text: a hypothesis against its reference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, override

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.normalise import Rule, normalise
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums
from aio_toolkit.tasks import Task

HYPOTHESIS, FLOOR = "hypothesis", "floor"


class TextScorer(Scorer):
    """Every metric of the task on the hypothesis, and on the answer that most often is right.

    Reference and answer are normalised alike, as the options of the task say.

    >>> from pathlib import Path
    >>> from aio_toolkit.tasks import load_tasks
    >>> task = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))["asr"]
    >>> utterance = Utterance("asr-1", task, "ann", "1.wav", 16000, {"text": "a b"})
    >>> (sums_K,) = TextScorer(task, {}, 16000).score(utterance, "a").values()
    >>> sums_K.tolist()  # words, insertions, deletions, substitutions
    [2.0, 0.0, 1.0, 0.0]
    """

    outputs = (HYPOTHESIS,)
    columns = (Column("score", HYPOTHESIS), Column("floor", FLOOR, with_interval=False))
    floor: str | None = None

    def __init__(self, task: Task, decoding: Mapping[str, Any], sample_rate: int):
        super().__init__(task, decoding, sample_rate)
        rules = [rule for rule in task.options.normalise if rule is not Rule.none]
        done = ", ".join([*rules, "white space as single blanks"])
        floor = "floor = the most frequent sentence of the training data, whatever is said"
        self.legend = f"Text: {floor}.\nBoth sides of a comparison are normalised: {done}."

    @override
    def fit(self, train: Sequence[Utterance], dev: Sequence[Utterance]) -> None:
        """Find the most frequent sentence."""
        (target,) = self.task.targets
        counts = Counter(sorted(self._normal(u.answers[target]) for u in train))
        [(self.floor, _)] = counts.most_common(1)

    @override
    def bounds_of(self) -> dict[str, Any]:
        """That sentence, and what is done to text."""
        return {"floor": self.floor, "normalise": list(self.task.options.normalise)}

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
        reference, answer = self._normal(utterance.answers[target]), self._normal(answer)
        sums = {}
        for name, metric in self.metrics.items():
            sums[Key(output, target, name)] = metric.sums(reference, answer)
        return sums

    def _normal(self, text: str) -> str:
        return normalise(text, self.task.options.normalise)
