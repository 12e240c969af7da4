"""Batches that mix tasks, the same for the same seed and step.

A batch is a list of `Draw`s: besides the utterance each says which row of which batch of the run it
is for, so that what is drawn for it depends neither on the worker that reads it nor on the process.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from aio_toolkit.errors import AioError


@dataclass(frozen=True)
class Draw:
    """An utterance in its place in the run.

    Attributes:
        index: the utterance's place in the dataset.
        batch: number of the batch, counted over the whole run and all ranks.
        row: place in the batch.
    """

    index: int
    batch: int
    row: int


def draws_of(utterances: Iterable[int], batch: int) -> list[Draw]:
    """The rows of batch number `batch`.

    >>> draws_of([7, 4], batch=3)
    [Draw(index=7, batch=3, row=0), Draw(index=4, batch=3, row=1)]
    """
    return [Draw(index, batch, row) for row, index in enumerate(utterances)]


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

    A task's utterances come in random order without replacement, again and again, grouped with
    others of similar length. Batch number i of all ranks depends on the seed and on i alone, so
    that an interrupted run resumes where it stopped.

    Attributes:
        members: the utterances of each task.

    >>> tasks, num_frames = ["asr", "asr", "asr", "sep"], [9, 10, 20, 10]
    >>> schedule = Schedule(num_batches=2, seed=0)
    >>> sampler = TaskBatchSampler(tasks, num_frames, {"asr": 20, "sep": 10}, schedule)
    >>> [[draw.index for draw in batch] for batch in sampler]
    [[2, 3], [0, 1, 3]]
    """

    # Utterances are sorted by length within windows of this many batches: little padding, much
    # randomness.
    WINDOW = 16

    def __init__(
        self,
        tasks: Sequence[str],
        num_frames: Sequence[int],
        frames_per_batch: Mapping[str, int],
        schedule: Schedule,
    ) -> None:
        """Describe the utterances and what a batch holds of them.

        Args:
            tasks: the task of each utterance, by name.
            num_frames: the length of each utterance.
            frames_per_batch: frames of each task in a batch, padding included.
            schedule: which batches to yield.

        Raises:
            AioError: `frames_per_batch` names no task, or one without utterances.
        """
        if not frames_per_batch:
            raise AioError(
                "key 'data.seconds' names no task. "
                "Give the seconds of each task in a batch: {asr: 20, ...}."
            )
        names = np.asarray(tasks)
        self.members = {task: np.flatnonzero(names == task) for task in frames_per_batch}
        empty = [task for task, members in self.members.items() if not members.size]
        if empty:
            found = f"data.seconds asks for task {', '.join(empty)}"
            raise AioError(f"{found}, of which there is no utterance.")
        self.num_frames = np.asarray(num_frames)
        self.frames_per_batch = frames_per_batch
        self.schedule = schedule

    def __len__(self) -> int:
        """Batches of one process, those before `start` included."""
        return self.schedule.num_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        """The rows of each batch, task by task."""
        streams = [self._stream(*numbered) for numbered in enumerate(self.members)]
        schedule = self.schedule
        for index in range(schedule.num_batches * schedule.num_ranks):
            # Drawn for all ranks and turns, also those that are not yielded: each draw moves the
            # generators on.
            batch = list(itertools.chain.from_iterable(map(next, streams)))
            turn, rank = divmod(index, schedule.num_ranks)
            if rank == schedule.rank and turn >= schedule.start:
                yield draws_of(batch, index)

    def _stream(self, number: int, task: str) -> Iterator[list[int]]:
        """The groups of a task, endlessly."""
        # A generator per task, so that the length of one does not change another.
        rng = np.random.default_rng([self.schedule.seed, number])
        members = self.members[task]
        budget = self.frames_per_batch[task]
        mean_frames = int(self.num_frames[members].mean())
        window = max(1, self.WINDOW * budget // max(1, mean_frames))
        while True:
            order = rng.permutation(members)
            for first in range(0, len(order), window):
                chunk = order[first : first + window]
                by_length = np.argsort(self.num_frames[chunk], kind="stable")
                order_in_window = chunk[by_length].tolist()
                groups = cut_by_padded_size(order_in_window, self.num_frames, budget)
                for group in rng.permutation(len(groups)):
                    yield groups[group]


def fixed_batches(
    tasks: Sequence[str],
    num_frames: Sequence[int],
    frames_per_batch: int,
) -> list[list[int]]:
    """Every utterance once, longest first, for validation and decoding.

    Rows of a batch share a task.

    Args:
        tasks: the task of each utterance, by name.
        num_frames: the length of each utterance.
        frames_per_batch: largest size of a batch, padding included; longer utterances come alone.

    >>> fixed_batches(["st", "asr", "asr", "asr"], [5, 4, 6, 2], frames_per_batch=8)
    [[2], [1, 3], [0]]
    """
    members: dict[str, list[int]] = {}
    # The longest first, so that what does not fit into memory fails at once.
    for index in sorted(range(len(tasks)), key=lambda index: -num_frames[index]):
        members.setdefault(tasks[index], []).append(index)
    batches = []
    for task in sorted(members):
        batches += cut_by_padded_size(members[task], num_frames, frames_per_batch)
    return batches


def cut_by_padded_size(
    order: Iterable[int],
    num_frames: Sequence[int] | np.ndarray,
    budget: int,
) -> list[list[int]]:
    """Cut a list where the size of a group, every row padded to its longest, would exceed a budget.

    Args:
        order: utterances, sorted by length so that little is padded.
        num_frames: the length of each utterance.
        budget: largest size of a group of several; longer utterances come alone.

    >>> cut_by_padded_size([0, 1, 2, 3], [3, 3, 4, 9], budget=8)
    [[0, 1], [2], [3]]
    """
    groups: list[list[int]] = []
    longest = 0
    for utterance in order:
        length = int(num_frames[utterance])
        longest = max(longest, length)
        num_rows = len(groups[-1]) + 1 if groups else 1
        if groups and num_rows * longest <= budget:
            groups[-1].append(utterance)
        else:
            groups.append([utterance])
            longest = length
    return groups
