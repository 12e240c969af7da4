"""Utterances and mixtures as training examples, each asked for by its `Draw`.

Letters: S samples, T frames, Q codebooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from aio_toolkit.answers.base import TargetReader, TargetSource, UnitsByKind
from aio_toolkit.data.audio import read_audio, read_span
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixing.base import MixingRule, MixtureDraw
from aio_toolkit.data.mixtures import Mixture
from aio_toolkit.data.resampling import change_speed
from aio_toolkit.data.sampler import Draw
from aio_toolkit.data.spans import Span
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.split import Split
from aio_toolkit.models.batch import Example
from aio_toolkit.tasks import Task, group_by_output

Rules = Mapping[str, MixingRule]


class WaveDataset(Dataset[Example], ABC):
    """Waves of the chosen tasks of a split, and mixtures by the rules of some of them.

    Attributes:
        split: where it is read from.
        tasks: the chosen tasks.
        utterances: their utterances, in the data dir's order.
        rules: how mixtures are made, by the task's name.
        grid: the frames of the split's codec.
    """

    def __init__(self, split: Split, tasks: Sequence[Task], rules: Rules | None = None):
        """Open a split.

        Args:
            split: where it is.
            tasks: tasks whose utterances are read.
            rules: how mixtures are made on the fly; none in validation.

        Raises:
            AioError: stage 2 has not finished, or a task has neither utterances nor a rule.
        """
        self.split = split
        self.tasks = list(tasks)
        self.rules = dict(rules or {})
        mixed = [task for task in tasks if task.name in self.rules]
        self.utterances = split.utterances(tasks, may_lack=mixed)
        self.grid = split.codec().grid

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, draw: Draw) -> Example:
        if draw.mixture is not None:
            return self._render(draw, draw.mixture)
        utterance = self.utterances[draw.index]
        # One that is played at another speed is whole.
        length = draw.num_samples if draw.speed == 1 else utterance.num_samples
        span = Span(draw.start, length, self.grid.hop)
        wave_S = read_span(
            utterance.wav,
            self.grid.sample_rate,
            span.start,
            span.num_samples,
            where=utterance.id,
        )
        wave_S = change_speed(wave_S, draw.speed)
        inputs = {}
        for name in utterance.task.inputs:
            # Whole: an enrolment is as long as it is.
            inputs[name] = read_audio(
                utterance.inputs[name], self.grid.sample_rate, f"{utterance.id} ({name})"
            )
        return self.example(utterance, span, wave_S, inputs, draw.batch)

    @abstractmethod
    def example(
        self,
        utterance: Utterance,
        span: Span,
        wave_S: np.ndarray,
        inputs: Mapping[str, np.ndarray],
        number: int,
    ) -> Example:
        """The example of a stretch of an utterance."""

    def can_be_cut(self, task: Task) -> bool:
        """Whether a stretch of an utterance of a task is an example too."""
        return True

    def target_of(self, task: Task, mixture: Mixture) -> Any:
        """The answer to a mixture: none."""
        return None

    def _render(self, draw: Draw, mixture: MixtureDraw) -> Example:
        rule = self.rules[mixture.task]
        made = rule.render(mixture)
        return Example(
            id=f"{mixture.task}-drawn-{draw.batch}-{draw.row}",
            task=rule.task,
            wave_S=made.input,
            target=self.target_of(rule.task, made),
            number=draw.batch,
        )


class PretrainingDataset(WaveDataset):
    """Inputs for stage 3, and their codes where they are learnt from; answers are not read.

    Attributes:
        codes: codes (T, Q) of the inputs, by utterance id; None where they are not wanted.
    """

    def __init__(
        self,
        split: Split,
        tasks: Sequence[Task],
        rules: Rules | None = None,
        *,
        reads_codes: bool = False,
    ):
        """Open a split; AioError where stage 2 has not finished, or has not made the codes."""
        super().__init__(split, tasks, rules)
        self.codes: ArkReader | None = None
        if reads_codes:
            self.codes = split.codes("wav")

    def example(
        self,
        utterance: Utterance,
        span: Span,
        wave_S: np.ndarray,
        inputs: Mapping[str, np.ndarray],
        number: int,
    ) -> Example:
        """A stretch of an input, with its codes."""
        codes_TQ = self.codes[utterance.id][span.frames] if self.codes else None
        return Example(utterance.id, utterance.task, wave_S, codes_TQ, number=number)


class AnswerDataset(WaveDataset):
    """Inputs and answers of all tasks, for stage 4.

    Attributes:
        readers: what reads the answers of a kind, by the kind's name.
    """

    def __init__(
        self,
        split: Split,
        tasks: Sequence[Task],
        units: UnitsByKind,
        wanted: Mapping[str, frozenset[str]],
        rules: Rules | None = None,
    ):
        """Open a split.

        Args:
            split: where it is.
            tasks: tasks to read.
            units: the units of each kind of answer.
            wanted: what the head of each kind learns from, see `Head.wanted`.
            rules: how mixtures are made on the fly.

        Raises:
            AioError: stage 2 has not finished, or has not made what is wanted.
        """
        super().__init__(split, tasks, rules)
        self.readers: dict[str, TargetReader] = {}
        for output, of_kind in group_by_output(tasks).items():
            source = TargetSource(
                dump=split.dump,
                utterances=[u for u in self.utterances if u.task.output == output],
                wanted=wanted[output],
                sample_rate=self.grid.sample_rate,
            )
            self.readers[output] = of_kind[0].kind.open(source, units[output])

    def example(
        self,
        utterance: Utterance,
        span: Span,
        wave_S: np.ndarray,
        inputs: Mapping[str, np.ndarray],
        number: int,
    ) -> Example:
        """A stretch of an input, with its answer."""
        task = utterance.task
        target = self.readers[task.output].read(utterance, span)
        return Example(utterance.id, task, wave_S, target=target, number=number, inputs=inputs)

    def can_be_cut(self, task: Task) -> bool:
        """Whether a stretch of the input has a stretch of the answer."""
        return task.kind.can_be_cut

    def target_of(self, task: Task, mixture: Mixture) -> Any:
        """The sources that it was made of."""
        return task.kind.rendered(task, mixture)
