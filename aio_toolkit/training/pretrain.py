"""Stage 3: self-supervised pre-training of the front-end encoder.

Letters: T frames, F feature bins.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.dump.split import Corpus, DumpDataset
from aio_toolkit.frontend.features import split_features
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.checkpoint import MODEL, LoadedSsl
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.ssl.base import CodeSizes
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import PretrainingDataset
from aio_toolkit.training.draws import forked, seed_step
from aio_toolkit.training.fit import fit, is_finished, is_first_rank, load_weights, say
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.monitor import CollapseMonitor
from aio_toolkit.training.optim import AdamWCosine

# Utterances whose frames make the statistics of features.
STATISTICS_UTTERANCES = 1000


class PretrainModule(TrainingModule):
    """An encoder with its objective.

    >>> model = SslModel(SslModel.Config(), num_features=6, codes=CodeSizes(2, 16))
    >>> module = PretrainModule(model, PretrainModule.Config(), frame_rate=50.0)
    >>> module.optim.config.lr
    0.001
    """

    model: SslModel

    @dataclass
    class Config:
        """Stage 3: a complete description of a run.

        Attributes:
            seed: of weights, batches and masks.
            latent_scale: standard deviation that the front end's codec latents are brought to;
                log-mel bins get 1. There are more latents than mel bins, and most say little about
                words.
            model: encoder and objective.
            data: batches.
            optim: the optimizer.
            trainer: options of `lightning.Trainer`, see `training.fit`.
        """

        seed: int = 0
        latent_scale: float = 1.0
        model: SslModel.Config = field(default_factory=SslModel.Config)
        data: TaskDataModule.Config = field(default_factory=TaskDataModule.Config)
        optim: AdamWCosine.Config = field(default_factory=AdamWCosine.Config)
        trainer: dict[str, Any] = field(default_factory=dict)

    def __init__(self, model: SslModel, config: Config, frame_rate: float):
        """Take over a model.

        Args:
            model: encoder and objective.
            config: the run.
            frame_rate: frames a second.
        """
        super().__init__(model, config.optim, config.seed)
        self.frame_rate = frame_rate
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
        self.started = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
        """Log the speed."""
        num_frames = batch.lengths_B.sum().item()
        seconds = num_frames / self.frame_rate
        elapsed = time.perf_counter() - self.started
        self.log("train/audio_seconds_per_second", seconds / elapsed, batch_size=1)

    def _step(self, split: str, batch: Batch) -> torch.Tensor:
        loss = self.model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
        self.check_finite(loss.total, batch)
        if split == "train":
            self.monitor.watch(self.global_step, loss.figures)
        num_rows = len(batch.ids)
        self.log_loss(split, loss.total, num_rows)
        self.log_figures(split, loss.figures, num_rows)
        return loss.total


def pretrain(config: PretrainModule.Config, corpus: Corpus, out: Path) -> None:
    """Train the encoder on the inputs of all tasks in `config.data.seconds`; write `out/model.pt`.

    1. Read the features and codes of both splits.
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
    path = out / MODEL
    if is_finished(path, config):
        return
    lightning.seed_everything(config.seed)
    tasks = config.data.chosen(corpus.tasks)
    train = PretrainingDataset(corpus.train, tasks)
    dev = PretrainingDataset(corpus.dev, tasks)

    provenance = corpus.train.provenance()
    model = _make_model(config, train, provenance)
    module = PretrainModule(model, config, provenance.codec.frame_rate)
    batches = TaskDataModule(config.data, train, dev, tasks, config.seed)
    best = fit(module, batches, config, out)
    load_weights(module, best)

    if is_first_rank():
        encoder = model.ssl_encoder
        LoadedSsl(encoder, encoder.config, provenance).save(path)
    say(f"wrote {path}")


def _make_model(
    config: PretrainModule.Config, train: DumpDataset, provenance: Provenance
) -> SslModel:
    """A model that knows the statistics of its features."""
    codec = provenance.codec
    codes = CodeSizes(codec.num_codebooks, codec.codebook_size)
    num_features = features_of(train, 0).shape[1]
    model = SslModel(config.model, num_features, codes)

    num_latents = provenance.front_end.num_latents(codec.latent_dim)
    mean_F, std_F = feature_statistics(train, num_latents, config.latent_scale)
    model.ssl_encoder.mean_F.copy_(mean_F)
    model.ssl_encoder.std_F.copy_(std_F)
    return model


def feature_statistics(
    dataset: DumpDataset, num_latents: int = 0, latent_scale: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (F,) of each feature bin over evenly spaced utterances.

    Args:
        dataset: features of a split.
        num_latents: codec latents among the bins. Their deviation is divided by `latent_scale`, so
            that normalised they have `latent_scale` where the others have one.
        latent_scale: as in `PretrainModule.Config`.

    >>> from types import SimpleNamespace
    >>> feats = {"asr-1": np.array([[1.0, -2.0], [3.0, 2.0]], dtype=np.float32)}
    >>> dataset = SimpleNamespace(utterances=[SimpleNamespace(id="asr-1")], feats=feats)
    >>> mean_F, std_F = feature_statistics(dataset, num_latents=1, latent_scale=0.5)
    >>> mean_F, std_F
    (tensor([2., 0.]), tensor([1.4142, 5.6569]))
    """
    count = len(dataset.utterances)
    step = max(1, count // STATISTICS_UTTERANCES)
    chosen = [features_of(dataset, index) for index in range(0, count, step)]
    frames_NF = torch.from_numpy(np.concatenate(chosen))
    # A bin that never moves (a mel band above the data's bandwidth) must not be blown up.
    std_F = frames_NF.std(0).clamp_min(1e-3)
    _, of_latents_F = split_features(std_F, num_latents)
    of_latents_F /= latent_scale
    return frames_NF.mean(0), std_F


def features_of(dataset: DumpDataset, index: int) -> np.ndarray:
    """Features (T, F) of an utterance of a dump, by its place."""
    utterance = dataset.utterances[index]
    return dataset.feats[utterance.id]
