"""Loaders over splits and mixtures, resumable in the middle of a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, cast

import lightning
import numpy as np
from torch.utils.data import DataLoader

from aio_toolkit import parts
from aio_toolkit.config import map_of
from aio_toolkit.data.batching import fixed_batches
from aio_toolkit.data.digest import digest_of, sources_digest
from aio_toolkit.data.mixing.base import MixingRule
from aio_toolkit.data.sampler import (
    Draw,
    Material,
    Schedule,
    TaskBatchSampler,
    whole_rows,
)
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.dump.split import Corpus
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.models.batch import Batch, collate
from aio_toolkit.parallel import check_shared_memory, leave_signals_to_parent
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task, get_task
from aio_toolkit.training.dataset import WaveDataset

# Batches that each loader process has ready.
PREFETCHED = 4
# Speeds at which speech is still speech.
SLOWEST, FASTEST = 0.5, 2.0
# Frames of a batch are a multiple of this. In bfloat16 a CPU compiles its matrix products anew for
# every size they meet: where each batch had a size of its own, that took a fifth of all time.
FRAMES_MULTIPLE = 16


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
            segment_seconds: longest training example, cut at random from longer ones: a batch is
                padded to its longest row. In stage 4, examples of tasks whose answers cannot be cut
                stay whole. None keeps all whole.
            dev_seconds: audio seconds in a validation batch.
            speed: how much faster utterances of a task whose answers cannot be cut may be played,
                by the task's name; one of these is drawn for each.
            num_workers: loader processes; 0 reads in the training process.
            mixing: how mixtures of a task are made anew in every step, `data/mixing/*.py`, by the
                task's name; a task that is not trained on needs none.
        """

        seconds: dict[str, float] = bounded({}, least=0)
        segment_seconds: float | None = bounded(None, above=0)
        dev_seconds: float = bounded(60.0, above=0)
        speed: dict[str, list[float]] = bounded({}, above=0)
        num_workers: int = bounded(0, least=0)
        mixing: dict[str, Any] = map_of("data/mixing")

        def chosen(self, tasks: Mapping[str, Task]) -> list[Task]:
            """The tasks trained on, in the order of `seconds`.

            Args:
                tasks: those of the recipe, by name.

            Raises:
                AioError: none is named, or one that the recipe does not have.
            """
            for name in self.speed:
                get_task(tasks, name)
            names = [name for name, seconds in self.seconds.items() if seconds > 0]
            if not names:
                remedy = "Give the seconds of each task in a batch: {asr: 20, ...}."
                raise AioError(f"key 'data.seconds' names no task. {remedy}")
            return [get_task(tasks, name) for name in names]

        def rules(self, corpus: Corpus, grid: FrameGrid) -> dict[str, MixingRule]:
            """The mixing rules of the tasks trained on, by the task's name.

            Args:
                corpus: where their sources are.
                grid: says at which rate.

            Raises:
                AioError: sources are missing or do not suit the rule, or a task is unknown.
            """
            folders = SourceFolders(corpus.data, corpus.tasks, grid.sample_rate)
            chosen = {task.name for task in self.chosen(corpus.tasks)}
            rules = {}
            for name, choice in self.mixing.items():
                task = get_task(corpus.tasks, name)
                if name in chosen:
                    rules[name] = parts.build(MixingRule, choice, task, folders)
            return rules

        def made_from(self, corpus: Corpus) -> dict[str, str]:
            """What tells the data of a training from others: splits, and sources to mix.

            Raises:
                AioError: as `rules`, or a data dir is not valid.
            """
            tasks = self.chosen(corpus.tasks)
            mixed = [task for task in tasks if task.name in self.mixing]
            told = {}
            for split, may_lack in ((corpus.train, mixed), (corpus.dev, [])):
                told[str(split.data)] = digest_of(split.utterances(tasks, may_lack))
            rules = self.rules(corpus, corpus.train.codec().grid)
            for name, rule in rules.items():
                told[f"the sources of data.mixing.{name}"] = sources_digest(rule.sources)
            return told

        def longest(self, tasks: Iterable[Task], grid: FrameGrid) -> dict[str, int]:
            """Samples of the longest example, whole frames, of tasks that can be cut.

            >>> sep = Task("sep", "", "audio", ("spk1", "spk2"), ("si_sdr",))
            >>> config = TaskDataModule.Config(segment_seconds=1.5)
            >>> config.longest([sep], FrameGrid(16000, 320))
            {'sep': 24000}
            """
            if self.segment_seconds is None:
                return {}
            num_frames = max(1, round(self.segment_seconds * grid.frame_rate))
            return {task.name: num_frames * grid.hop for task in tasks}

        def budgets(self, sample_rate: int) -> dict[str, int]:
            """Samples of each task trained on in a batch.

            >>> TaskDataModule.Config(seconds={"asr": 2.0, "sep": 0.0}).budgets(sample_rate=100)
            {'asr': 200}
            """
            chosen = {name: seconds for name, seconds in self.seconds.items() if seconds > 0}
            return {name: int(seconds * sample_rate) for name, seconds in chosen.items()}

    def __init__(
        self,
        config: Config,
        train: WaveDataset,
        dev: WaveDataset,
        tasks: Sequence[Task],
        seed: int,
    ):
        """Join two splits.

        Args:
            config: sizes.
            train: the split to train on, with its mixing rules.
            dev: the split to validate on.
            tasks: all tasks of the model, in the order of its gates.
            seed: fixes the order of batches and all that is drawn for them.
        """
        super().__init__()
        self.config = config
        self.seed = seed
        self.train, self.dev = train, dev
        self.tasks = list(tasks)
        self.grid = train.grid

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
        return self._loader(self.train, self._sampler(schedule))

    def first_batches(self, count: int) -> Iterator[Batch]:
        """The first batches that training draws, for statistics; no trainer is needed."""
        schedule = Schedule(num_batches=count, seed=self.seed)
        return islice(self._loader(self.train, self._sampler(schedule)), count)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The dev split in fixed batches."""
        budget = int(self.config.dev_seconds * self.grid.sample_rate)
        lengths = [utterance.num_samples for utterance in self.dev.utterances]
        batches = fixed_batches(_names(self.dev), lengths, budget)
        return self._loader(self.dev, whole_rows(batches, lengths))

    def example_seconds(self) -> dict[str, float]:
        """How long examples are: 95 % of a task's last no longer, by task's name."""
        material = self._material()
        names = np.array(material.tasks)
        seconds = {}
        for task in self.config.chosen({task.name: task for task in self.train.tasks}):
            lengths = material.lengths[names == task.name]
            # Without an utterance, mixtures have all the same length.
            longest = np.quantile(lengths, 0.95) if len(lengths) else material.longest[task.name]
            seconds[task.name] = float(longest) / self.grid.sample_rate
        return seconds

    def _sampler(self, schedule: Schedule) -> TaskBatchSampler:
        budgets = self.config.budgets(self.grid.sample_rate)
        return TaskBatchSampler(self._material(), budgets, schedule)

    def _material(self) -> Material:
        train = self.train
        return Material(
            tasks=_names(train),
            num_samples=[utterance.num_samples for utterance in train.utterances],
            longest=self.config.longest(filter(train.can_be_cut, train.tasks), self.grid),
            hop=self.grid.hop,
            multiple=FRAMES_MULTIPLE,
            rules=train.rules,
            speeds=self._speeds(),
        )

    def _speeds(self) -> dict[str, list[float]]:
        """The speeds of the tasks trained on."""
        speeds = {}
        for task in self.train.tasks:
            of_task = self.config.speed.get(task.name, [])
            if not of_task:
                continue
            if self.train.can_be_cut(task):
                remedy = "Its mixing rule may have one of its own"
                raise AioError(f"data.speed: answers of task '{task.name}' can be cut. {remedy}.")
            if not all(SLOWEST <= speed <= FASTEST for speed in of_task):
                problem = f"{of_task} is not all from {SLOWEST} to {FASTEST}"
                raise AioError(f"data.speed.{task.name}: {problem}.")
            speeds[task.name] = of_task
        return speeds

    def _loader(self, dataset: WaveDataset, batches: Iterable[list[Draw]]) -> DataLoader[Batch]:
        num_workers = self.config.num_workers
        if num_workers:
            check_shared_memory("data.num_workers=0")
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=batches,
            collate_fn=partial(
                collate, tasks=self.tasks, hop=self.grid.hop, step=FRAMES_MULTIPLE * self.grid.hop
            ),
            num_workers=num_workers,
            worker_init_fn=leave_signals_to_parent,
            persistent_workers=num_workers > 0,
            prefetch_factor=PREFETCHED if num_workers else None,
        )


def _names(dataset: WaveDataset) -> list[str]:
    """The task of each utterance."""
    return [utterance.task.name for utterance in dataset.utterances]
