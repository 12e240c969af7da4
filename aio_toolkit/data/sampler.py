"""Batches that mix tasks, the same for the same seed and step."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler

from aio_toolkit.errors import AioError


class TaskBatchSampler(Sampler[list[int]]):
    """Every batch holds a fixed amount of audio of each task.

    A task's utterances come in random order without replacement, again and again, grouped with others of similar
    length. Batch number i depends on the seed and on i alone: training resumes by starting at batch `start`,
    and rank r of R takes batches r, r + R, ...
    """

    # Utterances are sorted by length within windows of this many batches: little padding, much randomness.
    WINDOW = 16

    def __init__(
        self,
        tasks: Sequence[str],
        num_frames: Sequence[int],
        frames_per_batch: Mapping[str, int],
        num_batches: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ):
        """`tasks` and `num_frames` describe the dataset's utterances; `num_batches` counts those of one rank."""
        self.num_frames = np.asarray(num_frames)
        self.frames_per_batch = frames_per_batch
        self.members = {task: np.flatnonzero(np.asarray(tasks) == task) for task in frames_per_batch}
        if not frames_per_batch:
            raise AioError(
                "key 'data.seconds' names no task. Give the seconds of each task in a batch: {asr: 20, ...}."
            )
        empty = [task for task, members in self.members.items() if len(members) == 0]
        if empty:
            raise AioError(f"data.seconds asks for task {', '.join(empty)}, of which there is no utterance.")
        self.num_batches, self.seed, self.start = num_batches, seed, start
        self.rank, self.num_ranks = rank, num_ranks

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        streams = [self._stream(number, task) for number, task in enumerate(self.members)]
        for index in range(self.num_batches * self.num_ranks):
            batch = [utterance for stream in streams for utterance in next(stream)]
            if index % self.num_ranks == self.rank and index // self.num_ranks >= self.start:
                yield batch

    def _stream(self, number: int, task: str) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, number])
        members, budget = self.members[task], self.frames_per_batch[task]
        window = max(1, self.WINDOW * budget // max(1, int(self.num_frames[members].mean())))
        while True:
            order = rng.permutation(members)
            for first in range(0, len(order), window):
                chunk = order[first : first + window]
                groups = self._fill(chunk[np.argsort(self.num_frames[chunk], kind="stable")], budget)
                for group in rng.permutation(len(groups)):
                    yield groups[group]

    def _fill(self, order: np.ndarray, budget: int) -> list[list[int]]:
        """Cut a list of utterances where the padded size of a group would exceed the budget."""
        groups: list[list[int]] = [[]]
        for utterance in order.tolist():
            if groups[-1] and (len(groups[-1]) + 1) * self.num_frames[utterance] > budget:
                groups.append([])
            groups[-1].append(utterance)
        return groups


def fixed_batches(tasks: Sequence[str], num_frames: Sequence[int], frames_per_batch: int) -> list[list[int]]:
    """Every utterance once, longest first, for validation and decoding; rows of a batch share a task."""
    order = sorted(range(len(tasks)), key=lambda index: (tasks[index], -num_frames[index]))
    batches: list[list[int]] = []
    for index in order:
        batch = batches[-1] if batches else None
        fits = batch and tasks[batch[0]] == tasks[index] and (len(batch) + 1) * num_frames[batch[0]] <= frames_per_batch
        if fits:
            batch.append(index)
        else:
            batches.append([index])
    return batches
