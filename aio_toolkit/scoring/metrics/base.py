"""The contract of a metric.

Letters: K numbers that an utterance contributes, R sets of utterances.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task


class Metric(ABC):
    """A score that depends on the utterances through sums of K numbers each.

    That form lets sets of utterances be drawn again a thousand times for the price of one product.

    Attributes:
        kinds: the kinds of answer that it scores.
        title: name in tables.
        unit: unit in tables; empty without one.
        higher_is_better: direction.
        columns: names of the leading of the K numbers, in the table of single utterances.
        digits: decimals of these numbers there.
        unscorable: what references are that it cannot score.
        conventions: constants that scores depend on, for who compares them with others.

    >>> from aio_toolkit import parts
    >>> wer = parts.find(Metric, "wer")(Task("asr", "", "text", ("text",), ("wer",)))
    >>> wer.sums("a b", "a c").tolist()  # words, insertions, deletions, substitutions
    [2.0, 0.0, 0.0, 1.0]
    >>> wer.value(np.array([[2.0, 0.0, 0.0, 1.0], [20.0, 1.0, 1.0, 0.0]])).tolist()
    [50.0, 10.0]
    """

    kinds: ClassVar[tuple[str, ...]]
    title: ClassVar[str]
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]]
    digits: ClassVar[int] = 0
    unscorable: ClassVar[str] = "empty"
    conventions: ClassVar[Mapping[str, float]] = {}

    def __init__(self, task: Task):
        """Make the metric of a task.

        Raises:
            AioError: the task has another kind of answer.
        """
        self.task = task
        if task.output not in self.kinds:
            scored = " or ".join(self.kinds)
            problem = f"{self.title} scores {scored}, not {task.output}"
            remedy = "Change the task's metrics in tasks.yaml."
            raise AioError(f"task '{task.name}': {problem}. {remedy}")

    @abstractmethod
    def sums(self, reference: Any, answer: Any) -> np.ndarray:
        """The K numbers (K,) of one answer; NaN where the reference cannot be scored."""

    @abstractmethod
    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        """Scores (R,) of R sets of utterances, from the sums over each."""

    def note(self, sums_K: np.ndarray) -> str:
        """What a reader should know besides of the whole set's score; empty for nothing."""
        return ""

    @property
    def direction(self) -> str:
        """How to read it, for the legend of a table."""
        better = "lower"
        if self.higher_is_better:
            better = "higher"
        title = self.title
        if self.unit:
            title += f" in {self.unit}"
        return f"{title}, {better} is better."
