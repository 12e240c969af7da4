"""What the Lightning modules of stages 3 and 4 share."""

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.models.batch import Batch
from aio_toolkit.training.clipping import ClippingModule
from aio_toolkit.training.optim import Optim


class TrainingModule(ClippingModule):
    """A model, its optimizer, and how its losses are checked and logged.

    Attributes:
        model: what is trained.
        optim: its optimizer.
        seed: fixes what training steps draw.

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

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer of all parameters that train."""
        return self.optim.build(self.model, self.trainer.max_steps)

    def check_finite(self, loss: torch.Tensor, batch: Batch, name: str = "loss") -> None:
        """Raise AioError, with utterances and remedy, where a loss is NaN or infinite."""
        # At once: a step with it would leave no weight finite.
        if torch.isfinite(loss):
            return
        utterances = ", ".join(batch.ids[:4])
        found = f"{name} is {loss.item()} at step {self.global_step}"
        raise AioError(
            f"{found} (batch with {utterances}, ...). Lower optim.lr or set "
            "trainer.precision=32-true by --ssl_args or --train_args: the changed run gets a "
            "folder of its own."
        )

    def log_figures(self, split: str, figures: dict[str, torch.Tensor], batch_size: int) -> None:
        """Log figures of a split, averaged over batches by their rows."""
        # Lightning keeps what it is given: nothing logged may hold a graph.
        named = {f"{split}/{name}": value.detach() for name, value in figures.items()}
        self.log_dict(named, batch_size=batch_size)

    def log_loss(self, split: str, loss: torch.Tensor, batch_size: int) -> None:
        """Log the loss that trains or validates, in the progress bar too."""
        value = loss.detach()
        self.log(f"{split}/loss", value, prog_bar=True, batch_size=batch_size)
