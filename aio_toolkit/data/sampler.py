"""Batches that mix tasks, the same for the same seed and step.

A batch is a list of `Draw`s. Everything that is random about a row is in its draw: which utterance
or which mixture, and where it is cut. It depends on the seed and on the row's place in the run, so
neither on the worker that reads it nor on the process, nor on where the run was started.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

from aio_toolkit.data.batching import cut_by_padded_size
from aio_toolkit.data.mixing.base import MixtureDraw, pick
from aio_toolkit.data.resampling import changed_length
from aio_toolkit.errors import AioError

# What generators are for: seeds of the order of utterances, of single rows and of the places of
# groups must not meet.
ORDER, ROW, PLACE = 0, 1, 2
# Stands for the utterance of a row that is a mixture made on the fly.
NO_UTTERANCE = -1


@dataclass(frozen=True)
class Draw:
    """A row of a batch, before anything of it is read.

    Attributes:
        index: the utterance's place in the dataset; `NO_UTTERANCE` for a mixture.
        batch: number of the batch, counted over the whole run and all ranks.
        row: place in the batch.
        start: first sample of the stretch, on the grid of frames.
        num_samples: length of the stretch.
        mixture: the mixture to be made, if it is one.
        speed: how much faster the whole utterance is played.
    """

    index: int
    batch: int
    row: int
    start: int
    num_samples: int
    mixture: MixtureDraw | None = None
    speed: float = 1.0


class Rule(Protocol):
    """What the sampler asks of a mixing rule."""

    share: float

    def draw(self, rng: np.random.Generator, num_samples: int) -> MixtureDraw:
        """Draw a mixture."""


@dataclass(frozen=True)
class Material:
    """What batches are made of.

    Attributes:
        tasks: the task of each utterance, by name.
        num_samples: the length of each utterance.
        longest: samples of the longest example, by task; tasks that are not named stay whole.
        hop: samples of a frame.
        multiple: frames of a batch are padded to a multiple of this.
        rules: how mixtures of a task are made, by task.
        speeds: how much faster whole utterances of a task may be played, by task.

    >>> material = Material(["sep", "asr"], [900, 900], longest={"sep": 640}, hop=320)
    >>> material.lengths.tolist()
    [640, 900]
    """

    tasks: Sequence[str]
    num_samples: Sequence[int]
    longest: Mapping[str, int]
    hop: int
    multiple: int = 1
    rules: Mapping[str, Rule] = field(default_factory=dict)
    speeds: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def lengths(self) -> np.ndarray:
        """The length of each utterance's example."""
        pairs = zip(self.tasks, self.num_samples, strict=True)
        return np.array([min(length, self.longest.get(task, length)) for task, length in pairs])


@dataclass(frozen=True)
class Schedule:
    """Which batches of an endless sequence one process takes.

    Attributes:
        num_batches: how many this process takes, from the start of the run.
        seed: the sequence depends on it and on nothing else of the schedule.
        start: batches that the process has taken already, before the run was interrupted.
        rank: number of the process.
        num_ranks: rank r of R takes batches r, r + R, ...
    """

    num_batches: int
    seed: int
    start: int = 0
    rank: int = 0
    num_ranks: int = 1


@dataclass(frozen=True)
class _Group:
    """Utterances of a task that share a batch, and the samples that a row of them may have."""

    task: str
    indices: list[int]
    num_samples: int


class TaskBatchSampler(Sampler[list[Draw]]):
    """Every batch holds a fixed amount of audio of each task, in rows of similar length.

    1. A task's utterances come in random order without replacement, again and again.
    2. Those of the next `WINDOW` batches are shared out by length: the short of one task meet the
       short of the others. Examples of tasks that can be cut are no longer than the longest of
       those that cannot: padding is not worth its time.
    3. Where the task has a mixing rule, a row becomes, with the probability of the rule's share, a
       mixture of the same length.
    4. The other rows are cut somewhere to the length of an example.

    Batch number i of all ranks depends on the seed and on i alone, so that an interrupted run
    resumes where it stopped.

    Attributes:
        members: the utterances of each task.

    >>> material = Material(["asr", "asr", "asr", "sep"], [9, 10, 20, 50], {"sep": 40}, hop=1)
    >>> schedule = Schedule(num_batches=1, seed=0)
    >>> sampler = TaskBatchSampler(material, {"asr": 20, "sep": 40}, schedule)
    >>> [[(draw.index, draw.num_samples) for draw in batch] for batch in sampler]
    [[(0, 9), (1, 10), (3, 10), (3, 10), (3, 10), (3, 10)]]
    """

    # Batches that utterances are shared out to at a time: little padding, much randomness.
    WINDOW = 16

    def __init__(
        self, material: Material, samples_per_batch: Mapping[str, int], schedule: Schedule
    ) -> None:
        """Describe what a batch holds.

        Args:
            material: utterances and rules.
            samples_per_batch: samples of each task in a batch, padding included.
            schedule: which batches to yield.

        Raises:
            AioError: `samples_per_batch` names no task, or one without utterances and rule.
        """
        if not samples_per_batch:
            raise AioError(
                "key 'data.seconds' names no task. "
                "Give the seconds of each task in a batch: {asr: 20, ...}."
            )
        names = np.asarray(material.tasks)
        self.members = {task: np.flatnonzero(names == task) for task in samples_per_batch}
        for task, members in self.members.items():
            if not members.size and task not in material.rules:
                found = f"data.seconds asks for task {task}, of which there is no utterance"
                raise AioError(f"{found} and no rule in data.mixing.")
            if not members.size and task not in material.longest:
                found = f"task {task} has no utterance whose length its mixtures could have"
                raise AioError(f"{found}. Set data.segment_seconds.")
        self.material = material
        self.lengths = material.lengths
        self.samples_per_batch = samples_per_batch
        self.schedule = schedule

    def __len__(self) -> int:
        """Batches of one process, those before `start` included."""
        return self.schedule.num_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        """The rows of each batch, task by task."""
        schedule = self.schedule
        num_batches = schedule.num_batches * schedule.num_ranks
        # Drawn for all ranks and turns, also those that are not yielded: each draw moves the
        # generators on.
        for batch, groups in enumerate(itertools.islice(self._batches(), num_batches)):
            turn, rank = divmod(batch, schedule.num_ranks)
            if rank == schedule.rank and turn >= schedule.start:
                yield list(self._rows(batch, groups))

    def _batches(self) -> Iterator[list[_Group]]:
        """The groups of all tasks, batch after batch, endlessly."""
        passes = {task: self._passes(number, task) for number, task in enumerate(self.members)}
        whole = [task for task in passes if task not in self.material.longest]
        # Where all can be cut, each is as long as it may be.
        leading = whole or list(passes)
        groups = {task: self._groups(task, passes[task]) for task in leading}
        orders = {task: itertools.chain.from_iterable(passes[task]) for task in passes}
        rng = np.random.default_rng([self.schedule.seed, PLACE])
        while True:
            window = {}
            for task in leading:
                drawn = itertools.islice(groups[task], self.WINDOW)
                window[task] = sorted(drawn, key=lambda group: group.num_samples)
            met = zip(*window.values(), strict=True)
            limits = [max(group.num_samples for group in batch) for batch in met]
            for task, order in orders.items():
                if task not in window:
                    window[task] = self._share_out(task, order, limits)
            for place in rng.permutation(self.WINDOW):
                yield [window[task][place] for task in passes]

    def _passes(self, number: int, task: str) -> Iterator[list[int]]:
        """All utterances of a task in random order, endlessly."""
        # A generator per task, so that the length of one does not change another.
        rng = np.random.default_rng([self.schedule.seed, ORDER, number])
        members = self.members[task]
        if not members.size:
            rows = self.samples_per_batch[task] // self.material.longest[task]
            members = np.full(max(1, rows), NO_UTTERANCE)
        while True:
            yield rng.permutation(members).tolist()

    def _groups(self, task: str, passes: Iterator[list[int]]) -> Iterator[_Group]:
        """As many utterances of similar length as a batch has room for, endlessly."""
        budget = self.samples_per_batch[task]
        slowest = min(self.material.speeds.get(task, [1.0]))
        for order in passes:
            lengths = {index: self._length(task, index) for index in order}
            mean_length = sum(lengths.values()) / len(lengths)
            # No group has an utterance twice: a window ends where the pass does.
            for window in itertools.batched(order, max(1, int(self.WINDOW * budget / mean_length))):
                in_turn = sorted(window, key=lengths.__getitem__)
                for group in cut_by_padded_size(in_turn, lengths, budget):
                    yield _Group(task, group, changed_length(lengths[group[-1]], slowest))

    def _share_out(self, task: str, order: Iterator[int], limits: Sequence[int]) -> list[_Group]:
        """Examples of a task for the batches of a window, the shortest for the first.

        Args:
            task: one whose examples can be cut.
            order: its utterances.
            limits: samples of the longest row of each batch, ascending.
        """
        # What would be padding is filled.
        step = self.material.hop * self.material.multiple
        most = [min(self.material.longest[task], -(-limit // step) * step) for limit in limits]
        counts = [max(1, round(self.samples_per_batch[task] / samples)) for samples in most]
        drawn = list(itertools.islice(order, sum(counts)))
        in_turn = iter(sorted(drawn, key=partial(self._length, task)))
        return [
            _Group(task, list(itertools.islice(in_turn, count)), samples)
            for count, samples in zip(counts, most, strict=True)
        ]

    def _length(self, task: str, index: int) -> int:
        """Samples of an utterance's example, or of a mixture that stands for none."""
        if index == NO_UTTERANCE:
            return self.material.longest[task]
        return int(self.lengths[index])

    def _rows(self, batch: int, groups: Iterable[_Group]) -> Iterator[Draw]:
        """Decide all that is random about the rows of a batch."""
        pairs = ((group, index) for group in groups for index in group.indices)
        for row, (group, index) in enumerate(pairs):
            rng = np.random.default_rng([self.schedule.seed, ROW, batch, row])
            rule = self.material.rules.get(group.task)
            num_samples = min(group.num_samples, self._length(group.task, index))
            if rule is not None and (index == NO_UTTERANCE or rng.random() < rule.share):
                mixture = rule.draw(rng, num_samples)
                yield Draw(NO_UTTERANCE, batch, row, 0, num_samples, mixture)
                continue
            if group.task in self.material.speeds:
                speed = pick(rng, self.material.speeds[group.task])
                changed = changed_length(num_samples, speed)
                yield Draw(index, batch, row, 0, changed, speed=speed)
                continue
            latest = self.material.num_samples[index] - num_samples
            start = self.material.hop * int(rng.integers(latest // self.material.hop + 1))
            yield Draw(index, batch, row, start, num_samples)


def whole_rows(batches: Iterable[Iterable[int]], lengths: Sequence[int]) -> list[list[Draw]]:
    """The draws of batches of whole utterances.

    >>> ((row,),) = whole_rows([[7]], lengths=[100] * 8)
    >>> row.index, row.start, row.num_samples
    (7, 0, 100)
    """
    draws = []
    for batch, members in enumerate(batches):
        rows = [Draw(index, batch, row, 0, lengths[index]) for row, index in enumerate(members)]
        draws.append(rows)
    return draws
