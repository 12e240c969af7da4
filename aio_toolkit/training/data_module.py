"""Loaders over the dumped splits, resumable in the middle of a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import lightning
from torch.utils.data import DataLoader

from aio_toolkit.data.sampler import Schedule, TaskBatchSampler, fixed_batches
from aio_toolkit.dump.split import DumpDataset
from aio_toolkit.errors import AioError
from aio_toolkit.models.batch import collate
from aio_toolkit.tasks import Task, get_task


class TaskDataModule(lightning.LightningDataModule):
    """Training batches that mix tasks; validation over the whole dev split, task by task.

    The whole training is one epoch of `max_steps` optimizer steps, so that the progress bar shows
    the time left and a checkpoint may be written anywhere: the step number alone says which batch
    is next.
    """

    @dataclass
    class Config:
        """Batches.

        Attributes:
            seconds: audio seconds of each task in every batch; the tasks named here are the ones
                trained on, except those with 0.
            segment_seconds: longest training example of a task whose answers can be cut, at random
                from longer ones: a batch is padded to its longest row. None keeps them whole.
            dev_seconds: audio seconds in a validation batch.
            num_workers: loader processes; 0 reads in the training process.
        """

        seconds: dict[str, float] = field(default_factory=dict)
        segment_seconds: float | None = None
        dev_seconds: float = 60.0
        num_workers: int = 0

        def chosen(self, tasks: dict[str, Task]) -> list[Task]:
            """The tasks trained on, in the order of `seconds`; AioError if one is not among
            `tasks`."""
            names = [name for name, seconds in self.seconds.items() if seconds > 0]
            if not names:
                raise AioError(
                    "key 'data.seconds' names no task. Give the seconds of each task in a batch: "
                    "{asr: 20, ...}."
                )
            return [get_task(tasks, name) for name in names]

    def __init__(
        self,
        config: Config,
        train: DumpDataset,
        dev: DumpDataset,
        tasks: Sequence[Task],
        seed: int,
    ):
        """Join two splits.

        Args:
            config: sizes.
            train: the split to train on.
            dev: the split to validate on.
            tasks: all tasks of the model, in the order of its gates.
            seed: fixes the order of batches.
        """
        super().__init__()
        self.config, self.seed = config, seed
        self.train, self.dev = train, dev
        self.tasks = list(tasks)
        self.frame_rate = train.split.provenance().codec.frame_rate

    def train_dataloader(self) -> DataLoader:
        """Batches from the step that training stands at."""
        accumulate = self.trainer.accumulate_grad_batches
        budgets = {
            name: int(seconds * self.frame_rate)
            for name, seconds in self.config.seconds.items()
            if seconds > 0
        }
        sampler = TaskBatchSampler(
            tasks=[u.task.name for u in self.train.utterances],
            num_frames=self.train.num_frames,
            frames_per_batch=budgets,
            schedule=Schedule(
                num_batches=self.trainer.max_steps * accumulate,
                seed=self.seed,
                start=self.trainer.global_step * accumulate,
                rank=self.trainer.global_rank,
                num_ranks=self.trainer.world_size,
            ),
        )
        return self._loader(self.train, sampler)

    def val_dataloader(self) -> DataLoader:
        """The dev split in fixed batches."""
        tasks = [u.task.name for u in self.dev.utterances]
        frames_per_batch = int(self.config.dev_seconds * self.frame_rate)
        batches = fixed_batches(tasks, self.dev.num_frames, frames_per_batch)
        return self._loader(self.dev, batches)

    def _loader(self, dataset: DumpDataset, batches: Iterable[list[int]]) -> DataLoader:
        return DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=partial(collate, tasks=self.tasks),
            num_workers=self.config.num_workers,
            persistent_workers=self.config.num_workers > 0,
        )
