"""The newest state of a run, to go on from."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint


class NewestState(ModelCheckpoint):
    """Writes the state of a run every so many steps, after the validation where one is due.

    Lightning's own writes before it and does not validate again when a run resumes there: the run
    would never learn that the step was the best.

    >>> NewestState(filename="last", every_n_train_steps=100).filename
    'last'
    """

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write, unless validation comes next."""
        every = trainer.val_check_batch
        # The whole training is one epoch, whose batches are counted through.
        is_due = trainer.enable_validation and every and (batch_idx + 1) % every == 0
        if not is_due:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write what was put off."""
        # The batch itself makes no difference to whether and what is written.
        super().on_train_batch_end(trainer, pl_module, None, None, 0)
