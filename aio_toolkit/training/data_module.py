"""Loaders over the dumped splits, resumable in the middle of a run."""

from collections.abc import Sequence
from functools import partial

import lightning
from torch.utils.data import DataLoader

from aio_toolkit.data.batch import collate
from aio_toolkit.data.dataset import DumpDataset
from aio_toolkit.data.sampler import TaskBatchSampler, fixed_batches
from aio_toolkit.training.config import DataConfig


class TaskDataModule(lightning.LightningDataModule):
    """Training batches that mix tasks; validation over the whole dev split, task by task.

    The whole training is one epoch of `max_steps` optimiser steps, so that the progress bar shows the time left
    and a checkpoint may be written anywhere: the step number alone says which batch is next.
    """

    def __init__(
        self,
        train: DumpDataset,
        dev: DumpDataset,
        config: DataConfig,
        seed: int,
        frame_rate: float,
        tasks: Sequence[str] = (),
    ):
        """`tasks` gives the order of task indices; that of `config.tasks` by default."""
        super().__init__()
        self.tasks = list(tasks or config.tasks)
        self.train, self.dev = train, dev
        self.config, self.seed, self.frame_rate = config, seed, frame_rate

    def train_dataloader(self) -> DataLoader:
        """Batches from the step that training stands at."""
        accumulate = self.trainer.accumulate_grad_batches
        sampler = TaskBatchSampler(
            tasks=[u.task for u in self.train.utterances],
            num_frames=self.train.num_frames,
            frames_per_batch={t: int(self.config.seconds[t] * self.frame_rate) for t in self.config.tasks},
            num_batches=self.trainer.max_steps * accumulate,
            seed=self.seed,
            start=self.trainer.global_step * accumulate,
            rank=self.trainer.global_rank,
            num_ranks=self.trainer.world_size,
        )
        return self._loader(self.train, sampler)

    def val_dataloader(self) -> DataLoader:
        """The dev split in fixed batches."""
        tasks = [u.task for u in self.dev.utterances]
        batches = fixed_batches(tasks, self.dev.num_frames, int(self.config.dev_seconds * self.frame_rate))
        return self._loader(self.dev, batches)

    def _loader(self, dataset: DumpDataset, batches) -> DataLoader:
        return DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=partial(collate, tasks=self.tasks),
            num_workers=self.config.num_workers,
            persistent_workers=self.config.num_workers > 0,
        )
