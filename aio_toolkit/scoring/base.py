"""The contract of a scorer: an utterance and its decoded answer in, numbers to be summed out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aio_toolkit import parts
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.tasks import Task


@dataclass(frozen=True)
class Key:
    """What a score is of.

    Attributes:
        output: an output of the model, a bound, or the input.
        target: a part of the answer.
        metric: its name.
    """

    output: str
    target: str
    metric: str


# K numbers of an utterance, by what they are of.
Sums = dict[Key, np.ndarray]


@dataclass(frozen=True)
class Column:
    """A column of the table of results.

    Attributes:
        title: its title.
        output: the output whose score it shows.
        over: what is subtracted, utterance by utterance, which makes it a gain; empty for none.
        with_interval: whether the interval is shown too.
    """

    title: str
    output: str
    over: str = ""
    with_interval: bool = True


class Scorer(ABC):
    """Scores the answers to one task.

    Attributes:
        outputs: outputs that the model's answers may have, the first that is there ranks.
        columns: what tables show, from left to right; those of outputs that are not there are left
            out.
        unprocessed: the output that is the input as it is, over which models gain; empty for a kind
            of answer that has none.
        legend: what a reader of the table has to know of the columns; empty for nothing.
        task: the task.
        metrics: its metrics, by name.

    >>> from pathlib import Path
    >>> from aio_toolkit.tasks import load_tasks
    >>> task = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))["asr"]
    >>> scorer = parts.find(Scorer, "text")(task, {}, sample_rate=16000)
    >>> utterance = Utterance("asr-1", task, "ann", "1.wav", 16000, {"text": "good morning"})
    >>> scorer.score(utterance, "good day")
    {Key(output='hypothesis', target='text', metric='wer'): array([2., 0., 0., 1.])}
    """

    outputs: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[Column, ...]]
    unprocessed: ClassVar[str] = ""
    legend: str = ""

    def __init__(self, task: Task, decoding: Mapping[str, Any], sample_rate: int):
        """Make the scorer of a task.

        Args:
            task: the task.
            decoding: the options that its answers were decoded with, as `decode.json` holds them.
            sample_rate: Hz of audio.
        """
        self.task = task
        self.decoding = decoding
        self.sample_rate = sample_rate
        self.metrics: dict[str, Metric] = {}
        for name in task.metrics:
            metric_class = parts.find(Metric, name)
            self.metrics[name] = metric_class(task)

    def fit(self, train: Sequence[Utterance], dev: Sequence[Utterance]) -> None:
        """Fit the floor that needs no skill: nothing, unless a kind has one.

        Args:
            train: utterances of the task to fit to.
            dev: others, to choose options on.
        """

    def bounds_of(self) -> dict[str, Any]:
        """Plain values that bounds depend on, besides the data: nothing."""
        return {}

    def bounds(self, utterance: Utterance) -> Sums:
        """The numbers of floors and ceilings, which do not depend on the model: none."""
        return {}

    @abstractmethod
    def score(self, utterance: Utterance, answer: Any) -> Sums:
        """The numbers of one utterance, of the same outputs for all utterances.

        Args:
            utterance: it, with its references.
            answer: what `AnswerKind.load` returned for it.

        Raises:
            AioError: a file cannot be read, or is of another recording.
        """
