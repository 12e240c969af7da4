"""Options of stages 3 and 4: one YAML file is a complete description of a run."""

from dataclasses import dataclass, field
from typing import Any

from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.training.optim import OptimConfig


@dataclass
class DataConfig:
    """Batches.

    Attributes:
        seconds: audio seconds of each task in every batch; the tasks named here are the ones trained on, but for those
            with 0.
        segment_seconds: longest training example of an audio task, cut at random from longer ones: a batch is padded
            to its longest row. None keeps them whole.
        dev_seconds: audio seconds in a validation batch.
        num_workers: loader processes; 0 reads in the training process.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    segment_seconds: float | None = None
    dev_seconds: float = 60.0
    num_workers: int = 0

    @property
    def tasks(self) -> list[str]:
        """The tasks trained on, in order."""
        return [task for task, seconds in self.seconds.items() if seconds > 0]


@dataclass
class SslTrainConfig:
    """Stage 3.

    Attributes:
        latent_scale: standard deviation that the front end's codec latents are brought to; log-mel bins get 1. There
            are more latents than mel bins, and most of them say little about words.
    """

    seed: int = 0
    latent_scale: float = 1.0
    model: SslModel.Config = field(default_factory=SslModel.Config)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class AioTrainConfig:
    """Stage 4.

    Attributes:
        task_weights: scales the losses of the tasks it names; the others weigh 1.
        adapt: experiment folder of a trained model that is to learn the one task of `data.seconds` besides its own;
            its `model` section counts, not the one here.
    """

    seed: int = 0
    model: AioModel.Config = field(default_factory=AioModel.Config)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    task_weights: dict[str, float] = field(default_factory=dict)
    adapt: str | None = None
    trainer: dict[str, Any] = field(default_factory=dict)
