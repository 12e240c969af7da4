"""What the Lightning modules of stages 3 and 4 share."""

from typing import override

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from aio_toolkit.errors import shown
from aio_toolkit.models.batch import Batch
from aio_toolkit.training.clipping import ClippingModule
from aio_toolkit.training.monitor import SpikeMonitor
from aio_toolkit.training.optim import Optim


class TrainingModule(ClippingModule):
    """A model, its optimizer, and how its losses are checked and logged.

    Attributes:
        model: what is trained.
        optim: its optimizer.
        seed: fixes what training steps draw.
        ids: whose gradients the step collects.

    >>> module = TrainingModule(nn.Linear(2, 3), Optim.Config(lr=0.1))
    >>> module.optim.config.lr
    0.1
    """

    def __init__(self, model: nn.Module, optim: Optim.Config, seed: int = 0):
        """Take over a model; `optim` are the options of its optimizer."""
        super().__init__()
        self.model = model
        self.optim = Optim(optim)
        self.seed = seed
        self.ids: list[str] = []
        self.spikes = SpikeMonitor()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer of all parameters that train."""
        return self.optim.build(self.model, self.trainer.max_steps)

    @override
    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Note whose gradients the step collects."""
        if index % self.trainer.accumulate_grad_batches == 0:
            self.ids = []
        self.ids += batch.ids

    @override
    def whose(self) -> str:
        """The utterances of the step."""
        return f" (batch with {shown(self.ids)})"

    def check_finite(self, loss: torch.Tensor, name: str = "loss") -> None:
        """Raise AioError, with utterances and remedy, where a loss is NaN or infinite."""
        if not torch.isfinite(loss):
            self.refuse(f"{name} is {loss.item()}")

    def log_figures(self, split: str, figures: dict[str, torch.Tensor], batch_size: int) -> None:
        """Log figures of a split, averaged over batches by their rows."""
        # Lightning keeps what it is given: nothing logged may hold a graph.
        named = {f"{split}/{name}": value.detach() for name, value in figures.items()}
        self.log_dict(named, batch_size=batch_size)

    def log_loss(self, split: str, loss: torch.Tensor, batch_size: int) -> None:
        """Log the loss that trains or validates, in the progress bar too; tell of spikes."""
        value = loss.detach()
        if split == "train":
            self.spikes.watch(self.global_step, value.item(), self.ids)
        self.log(f"{split}/loss", value, prog_bar=True, batch_size=batch_size)
