"""Clipping of gradients, for all trainings alike."""

import lightning
from torch import nn
from torch.optim import Optimizer


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
        """Clip the norm of all gradients together, or each value."""
        if not gradient_clip_val:
            return
        if gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        else:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
