"""Batches that mix tasks, the same for the same seed and step.

A batch is a list of `Draw`s. Everything that is random about a row is in its draw: which utterance
or which mixture, and where it is cut. It depends on the seed and on the row's place in the run, so
neither on the worker that reads it nor on the process, nor on where the run was started.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

from aio_toolkit.data.mixing.base import MixtureDraw, pick
from aio_toolkit.data.resampling import changed_length
from aio_toolkit.errors import AioError

# What generators are for: seeds of the order of utterances and of single rows must not meet.
ORDER, ROW = 0, 1
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


class TaskBatchSampler(Sampler[list[Draw]]):
    """Every batch holds a fixed amount of audio of each task.

    1. A task's utterances come in random order without replacement, again and again, grouped with
       others of similar length.
    2. Where the task has a mixing rule, a row of the group becomes, with the probability of the
       rule's share, a mixture of the same length.
    3. The other rows are cut somewhere to the length of an example.

    Batch number i of all ranks depends on the seed and on i alone, so that an interrupted run
    resumes where it stopped.

    Attributes:
        members: the utterances of each task.

    >>> material = Material(["asr", "asr", "asr", "sep"], [9, 10, 20, 10], longest={}, hop=1)
    >>> schedule = Schedule(num_batches=2, seed=0)
    >>> sampler = TaskBatchSampler(material, {"asr": 20, "sep": 10}, schedule)
    >>> [[draw.index for draw in batch] for batch in sampler]
    [[2, 3], [0, 1, 3]]
    """

    # Utterances are sorted by length within windows of this many batches: little padding, much
    # randomness.
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
        tasks = list(self.members)
        streams = [self._stream(*numbered) for numbered in enumerate(tasks)]
        schedule = self.schedule
        for batch in range(schedule.num_batches * schedule.num_ranks):
            # Drawn for all ranks and turns, also those that are not yielded: each draw moves the
            # generators on.
            groups = [next(stream) for stream in streams]
            turn, rank = divmod(batch, schedule.num_ranks)
            if rank == schedule.rank and turn >= schedule.start:
                yield list(self._rows(batch, zip(tasks, groups, strict=True)))

    def _rows(self, batch: int, groups: Iterable[tuple[str, list[int]]]) -> Iterator[Draw]:
        """Decide all that is random about the rows of a batch."""
        pairs = ((task, index) for task, group in groups for index in group)
        for row, (task, index) in enumerate(pairs):
            rng = np.random.default_rng([self.schedule.seed, ROW, batch, row])
            rule = self.material.rules.get(task)
            if index == NO_UTTERANCE:
                num_samples = self.material.longest[task]
            else:
                num_samples = int(self.lengths[index])
            if rule is not None and (index == NO_UTTERANCE or rng.random() < rule.share):
                mixture = rule.draw(rng, num_samples)
                yield Draw(NO_UTTERANCE, batch, row, 0, num_samples, mixture)
                continue
            if task in self.material.speeds:
                speed = pick(rng, self.material.speeds[task])
                changed = changed_length(num_samples, speed)
                yield Draw(index, batch, row, 0, changed, speed=speed)
                continue
            latest = self.material.num_samples[index] - num_samples
            start = self.material.hop * int(rng.integers(latest // self.material.hop + 1))
            yield Draw(index, batch, row, start, num_samples)

    def _stream(self, number: int, task: str) -> Iterator[list[int]]:
        """The groups of a task, endlessly."""
        # A generator per task, so that the length of one does not change another.
        rng = np.random.default_rng([self.schedule.seed, ORDER, number])
        members = self.members[task]
        budget = self.samples_per_batch[task]
        if not members.size:
            count = max(1, budget // self.material.longest[task])
            yield from itertools.repeat([NO_UTTERANCE] * count)
        mean_length = int(self.lengths[members].mean())
        window = max(1, self.WINDOW * budget // max(1, mean_length))
        while True:
            order = rng.permutation(members)
            for first in range(0, len(order), window):
                chunk = order[first : first + window]
                by_length = np.argsort(self.lengths[chunk], kind="stable")
                order_in_window = chunk[by_length].tolist()
                groups = cut_by_padded_size(order_in_window, self.lengths, budget)
                for group in rng.permutation(len(groups)):
                    yield groups[group]


def fixed_batches(
    tasks: Sequence[str],
    lengths: Sequence[int],
    budget: int,
) -> list[list[int]]:
    """Every utterance once, longest first, for validation and decoding.

    Rows of a batch share a task.

    Args:
        tasks: the task of each utterance, by name.
        lengths: the length of each utterance.
        budget: largest size of a batch, padding included; longer utterances come alone.

    >>> fixed_batches(["st", "asr", "asr", "asr"], [5, 4, 6, 2], budget=8)
    [[2], [1, 3], [0]]
    """
    members: dict[str, list[int]] = {}
    # The longest first, so that what does not fit into memory fails at once.
    for index in sorted(range(len(tasks)), key=lambda index: -lengths[index]):
        members.setdefault(tasks[index], []).append(index)
    batches = []
    for task in sorted(members):
        batches += cut_by_padded_size(members[task], lengths, budget)
    return batches


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


def cut_by_padded_size(
    order: Iterable[int],
    lengths: Sequence[int] | np.ndarray,
    budget: int,
) -> list[list[int]]:
    """Cut a list where the size of a group, every row padded to its longest, would exceed a budget.

    Args:
        order: utterances, sorted by length so that little is padded.
        lengths: the length of each utterance.
        budget: largest size of a group of several; longer utterances come alone.

    >>> cut_by_padded_size([0, 1, 2, 3], [3, 3, 4, 9], budget=8)
    [[0, 1], [2], [3]]
    """
    groups: list[list[int]] = []
    longest = 0
    for utterance in order:
        length = int(lengths[utterance])
        longest = max(longest, length)
        num_rows = len(groups[-1]) + 1 if groups else 1
        if groups and num_rows * longest <= budget:
            groups[-1].append(utterance)
        else:
            groups.append([utterance])
            longest = length
    return groups
