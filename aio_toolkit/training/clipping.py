"""Clipping and checking of gradients, for all trainings alike."""

from collections.abc import Iterable
from typing import NoReturn

import lightning
import torch
from torch import nn
from torch.optim import Optimizer

from aio_toolkit.errors import AioError


class ClippingModule(lightning.LightningModule):
    """A module whose gradients are clipped as the `trainer:` section says, by torch.

    Lightning's own clipping refuses fused optimizers in mixed precision, since some of them undo
    the scaling of float16 by themselves; here nothing is scaled.
    """

    def clip_gradients(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients together, or each value.

        Raises:
            AioError: a gradient is NaN or infinite: its step would leave no weight finite.
        """
        self.clip(self.parameters(), gradient_clip_val, gradient_clip_algorithm)

    def clip(
        self, parameters: Iterable[nn.Parameter], limit: float | None, algorithm: str | None = None
    ) -> None:
        """Clip the gradients of some parameters; see `clip_gradients`."""
        parameters = list(parameters)
        if limit and algorithm != "value":
            norm = nn.utils.clip_grad_norm_(parameters, limit)
        else:
            gradients = [p.grad for p in parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):
            self.refuse(f"norm of the gradients is {norm.item()}")
        if limit and algorithm == "value":
            nn.utils.clip_grad_value_(parameters, limit)

    def refuse(self, found: str) -> NoReturn:
        """Raise AioError of what makes a step useless, with the way out."""
        where = f"{found} at step {self.global_step}{self.whose()}"
        raise AioError(
            f"{where}. Lower optim.lr or set trainer.precision=32-true by --codec_args, "
            "--ssl_args or --train_args: the changed run gets a folder of its own."
        )

    def whose(self) -> str:
        """Words on whose gradients the step collects, where they are known."""
        return ""
