"""Stage 3: self-supervised pre-training of the front-end encoder."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from aio_toolkit.dump.split import Corpus
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.checkpoint import MODEL, LoadedSsl
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.ranges import bounded
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import PretrainingDataset
from aio_toolkit.training.draws import forked, seed_step
from aio_toolkit.training.fit import fit, load_weights
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.monitor import CollapseMonitor
from aio_toolkit.training.optim import Optim
from aio_toolkit.training.run import Run, is_first_rank, say

# Batches, drawn as training draws them, whose frames make the statistics of features.
STATISTICS_BATCHES = 32


class PretrainModule(TrainingModule):
    """An encoder with its objective.

    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> model = SslModel(SslModel.Config(), codec)
    >>> module = PretrainModule(model, PretrainModule.Config())
    >>> module.optim.config.lr
    0.001
    """

    model: SslModel

    @dataclass
    class Config:
        """Stage 3: a complete description of a run.

        Attributes:
            seed: of weights, batches and masks.
            model: encoder and objective.
            data: batches.
            optim: the optimizer.
            trainer: options of `lightning.Trainer`, see `training.fit`.
        """

        seed: int = bounded(0, least=0)
        model: SslModel.Config = field(default_factory=SslModel.Config)
        data: TaskDataModule.Config = field(default_factory=TaskDataModule.Config)
        optim: Optim.Config = field(default_factory=Optim.Config)
        trainer: dict[str, Any] = field(default_factory=dict)

    def __init__(self, model: SslModel, config: Config):
        """Take over a model.

        Args:
            model: encoder and objective.
            config: the run.
        """
        super().__init__(model, config.optim, config.seed)
        self.sample_rate = model.ssl_encoder.grid.sample_rate
        self.monitor = CollapseMonitor()
        self.started = 0.0

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """The objective's loss of a batch."""
        seed_step(self.seed, batch.number)
        return self._step("train", batch)

    def validation_step(self, batch: Batch, index: int) -> None:
        """The same, logged."""
        # With the same frames masked at every validation, or the curve would wander by chance.
        with forked(batch.number):
            self._step("val", batch)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Let a teacher follow the encoder."""
        super().optimizer_step(*arguments, **options)
        self.model.objective.after_step(self.model.ssl_encoder)

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Start the clock."""
        super().on_train_batch_start(batch, index)
        self.started = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
        """Log the speed."""
        seconds = batch.samples_B.sum().item() / self.sample_rate
        elapsed = time.perf_counter() - self.started
        self.log("train/audio_seconds_per_second", seconds / elapsed, batch_size=1)

    def _step(self, split: str, batch: Batch) -> torch.Tensor:
        loss = self.model(batch.wave_BS, batch.samples_B, batch.codes_BTQ)
        self.check_finite(loss.total)
        if split == "train":
            self.monitor.watch(self.global_step, loss.figures)
        num_rows = len(batch.ids)
        self.log_loss(split, loss.total, num_rows)
        self.log_figures(split, loss.figures, num_rows)
        return loss.total


def pretrain(config: PretrainModule.Config, corpus: Corpus, out: Path) -> None:
    """Train the encoder on the inputs of all tasks in `config.data.seconds`; write `out/model.pt`.

    1. Find the waves of both splits, and their codes where the objective learns from them.
    2. Make encoder and objective; take the statistics of the features.
    3. Train, from the last checkpoint where there is one.
    4. Write the encoder with the best validation loss.

    Args:
        config: the run.
        corpus: data dirs and their dumps.
        out: experiment folder.

    Raises:
        AioError: an earlier stage has not finished, another run began `out`, or the loss is not a
            number.
    """
    run = Run(config, out, config.data.made_from(corpus))
    if run.is_finished(MODEL):
        return
    lightning.seed_everything(config.seed)
    codec = corpus.train.codec()
    model = SslModel(config.model, codec)
    data = _open_data(config, corpus, model)
    # A run that goes on has the statistics in its checkpoint.
    batches = data.first_batches(STATISTICS_BATCHES)
    model.ssl_encoder.front_end.fit((batch.wave_BS, batch.samples_B) for batch in batches)

    module = PretrainModule(model, config)
    best = fit(module, data, run)
    load_weights(module, best)
    path = out / MODEL
    if is_first_rank():
        LoadedSsl(model.ssl_encoder, codec).save(path)
    say(f"wrote {path}")


def _open_data(config: PretrainModule.Config, corpus: Corpus, model: SslModel) -> TaskDataModule:
    tasks = config.data.chosen(corpus.tasks)
    rules = config.data.rules(corpus, model.ssl_encoder.grid)
    reads_codes = model.objective.reads_codes
    train = PretrainingDataset(corpus.train, tasks, rules, reads_codes=reads_codes)
    dev = PretrainingDataset(corpus.dev, tasks, reads_codes=reads_codes)
    return TaskDataModule(config.data, train, dev, tasks, config.seed)
