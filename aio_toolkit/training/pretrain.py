"""Stage 3: self-supervised pre-training of the front-end encoder."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from aio_toolkit.dump.split import Corpus, DumpDataset
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.checkpoint import MODEL, LoadedSsl
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.ssl.base import CodeSizes
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import PretrainingDataset
from aio_toolkit.training.fit import claim, fit, load_weights
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.monitor import CollapseMonitor
from aio_toolkit.training.optim import AdamWCosine

# Utterances whose frames make the statistics of features.
STATISTICS_UTTERANCES = 1000


class PretrainModule(TrainingModule):
    """An encoder with its objective."""

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
        super().__init__(model, config.optim)
        self.frame_rate = frame_rate
        self.monitor = CollapseMonitor()
        self.started = 0.0

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """The objective's loss of a batch."""
        return self._step("train", batch)

    def validation_step(self, batch: Batch, index: int) -> None:
        """The same, with the same frames masked at every validation, or the curve would wander by
        chance."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(index)
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
        seconds = batch.lengths_B.sum().item() / self.frame_rate
        speed = seconds / (time.perf_counter() - self.started)
        self.log("train/audio_seconds_per_second", speed, batch_size=1)

    def _step(self, split: str, batch: Batch) -> torch.Tensor:
        loss = self.model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
        self.check_finite(loss.total, batch)
        if split == "train":
            self.monitor.watch(self.global_step, loss.figures)
        self.log_loss(split, loss.total, len(batch.ids))
        self.log_figures(split, loss.figures, len(batch.ids))
        return loss.total


def pretrain(config: PretrainModule.Config, corpus: Corpus, out: Path) -> None:
    """Train the encoder on the inputs of all tasks named in `config.data.seconds`; write
    `out/model.pt`.

    1. Read the features and codes of both splits.
    2. Make encoder and objective; take the statistics of the features.
    3. Train, from the last checkpoint where there is one.
    4. Write the encoder with the best validation loss.

    Args:
        config: the run.
        corpus: data dirs and their dumps.
        out: experiment folder.
    """
    if (out / MODEL).is_file():
        claim(out, config)
        print(f"{out / MODEL} is finished: nothing to do")
        return
    lightning.seed_everything(config.seed)
    tasks = config.data.chosen(corpus.tasks)
    train, dev = (PretrainingDataset(split, tasks) for split in (corpus.train, corpus.dev))
    provenance = corpus.train.provenance()
    codec = provenance.codec

    num_features = train[0].feats_TF.shape[1]
    model = SslModel(
        config.model, num_features, CodeSizes(codec.num_codebooks, codec.codebook_size)
    )
    latents = codec.latent_dim if provenance.front_end.codec_latents else 0
    mean_F, std_F = feature_statistics(train, latents, config.latent_scale)
    model.ssl_encoder.mean_F.copy_(mean_F)
    model.ssl_encoder.std_F.copy_(std_F)

    module = PretrainModule(model, config, codec.frame_rate)
    batches = TaskDataModule(config.data, train, dev, tasks, config.seed)
    load_weights(module, fit(module, batches, config, out))
    encoder = model.ssl_encoder
    LoadedSsl(encoder, encoder.config, provenance).save(out / MODEL)
    print(f"wrote {out / MODEL}")


def feature_statistics(
    dataset: DumpDataset, latents: int = 0, latent_scale: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (F,) of each feature bin over evenly spaced utterances.

    The deviation of the last `latents` bins is divided by `latent_scale`, so that normalised they
    have `latent_scale` where the others have one.
    """
    step = max(1, len(dataset) // STATISTICS_UTTERANCES)
    chosen = range(0, len(dataset), step)
    frames = torch.cat([torch.from_numpy(dataset[index].feats_TF) for index in chosen])
    # A bin that never moves (a mel band above the data's bandwidth) must not be blown up.
    std_F = frames.std(0).clamp_min(1e-3)
    if latents:
        std_F[-latents:] /= latent_scale
    return frames.mean(0), std_F
