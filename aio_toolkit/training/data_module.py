"""Loaders over the dumped splits, resumable in the middle of a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import lightning
from torch.utils.data import DataLoader

from aio_toolkit.data.sampler import Draw, Schedule, TaskBatchSampler, draws_of, fixed_batches
from aio_toolkit.dump.split import DumpDataset
from aio_toolkit.errors import AioError
from aio_toolkit.models.batch import Batch, collate
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

        def chosen(self, tasks: Mapping[str, Task]) -> list[Task]:
            """The tasks trained on, in the order of `seconds`.

            Args:
                tasks: those of the recipe, by name.

            Raises:
                AioError: none is named, or one that the recipe does not have.
            """
            names = [name for name, seconds in self.seconds.items() if seconds > 0]
            if not names:
                remedy = "Give the seconds of each task in a batch: {asr: 20, ...}."
                raise AioError(f"key 'data.seconds' names no task. {remedy}")
            return [get_task(tasks, name) for name in names]

        def segment_frames(self, frame_rate: float) -> int | None:
            """Frames of the longest training example that can be cut; None: it stays whole.

            >>> TaskDataModule.Config(segment_seconds=1.5).segment_frames(frame_rate=50.0)
            75
            """
            if self.segment_seconds is None:
                return None
            return round(self.segment_seconds * frame_rate)

        def budgets(self, frame_rate: float) -> dict[str, int]:
            """Frames of each task trained on in a batch.

            >>> TaskDataModule.Config(seconds={"asr": 2.0, "sep": 0.0}).budgets(frame_rate=50.0)
            {'asr': 100}
            """
            chosen = {name: seconds for name, seconds in self.seconds.items() if seconds > 0}
            return {name: int(seconds * frame_rate) for name, seconds in chosen.items()}

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
        self.config = config
        self.seed = seed
        self.train, self.dev = train, dev
        self.tasks = list(tasks)
        dumped = train.split.provenance()
        self.frame_rate = dumped.codec.frame_rate

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches from the step that training stands at."""
        # Lightning asks for loaders once a trainer is there.
        trainer = cast(lightning.Trainer, self.trainer)
        # Its loops count optimizer steps, samplers count batches.
        accumulate = trainer.accumulate_grad_batches
        schedule = Schedule(
            num_batches=trainer.max_steps * accumulate,
            seed=self.seed,
            start=trainer.global_step * accumulate,
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
        )
        sampler = TaskBatchSampler(
            tasks=_names(self.train),
            num_frames=self.train.num_frames,
            frames_per_batch=self.config.budgets(self.frame_rate),
            schedule=schedule,
        )
        return self._loader(self.train, sampler)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The dev split in fixed batches."""
        dev = self.dev
        frames_per_batch = int(self.config.dev_seconds * self.frame_rate)
        batches = fixed_batches(_names(dev), dev.num_frames, frames_per_batch)
        draws = [draws_of(batch, number) for number, batch in enumerate(batches)]
        return self._loader(dev, draws)

    def _loader(self, dataset: DumpDataset, batches: Iterable[list[Draw]]) -> DataLoader[Batch]:
        num_workers = self.config.num_workers
        return DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=partial(collate, tasks=self.tasks),
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        )


def _names(dataset: DumpDataset) -> list[str]:
    """The task of each utterance."""
    return [utterance.task.name for utterance in dataset.utterances]
