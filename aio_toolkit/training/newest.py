"""The newest state of a run, to go on from."""

import signal
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint, Timer

from aio_toolkit.errors import StoppedError
from aio_toolkit.training.checkpoints import LAST

# What asks a run to end: `kill` and schedulers, and those that warn some time before they kill.
ENDING = (signal.SIGTERM, signal.SIGUSR1)
# Seconds within which another signal is the same one, handed on by a script above.
SAME_SIGNAL = 1.0


class NewestState(ModelCheckpoint):
    """Writes the state of a run: every so many steps, after the last, and when a signal ends it.

    Where a validation is due, after it. Lightning's own writes before it and does not validate
    again when a run resumes there: the run would never learn that the step was the best.

    >>> NewestState(Path("exp"), every=100).filename
    'last'
    """

    def __init__(self, folder: Path, every: int):
        """Write into a folder, every so many optimizer steps."""
        super().__init__(
            folder,
            filename=Path(LAST).stem,
            every_n_train_steps=every,
            save_top_k=1,
            enable_version_counter=False,
        )
        self.signal = 0
        self.asked_at = 0.0
        self.handlers: dict[int, Any] = {}

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Take the signals over from Lightning, which would put jobs back into Slurm's queue."""
        super().on_train_start(trainer, pl_module)
        self.handlers = {number: signal.signal(number, self._note) for number in ENDING}

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Give the signals back."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write where it is time, unless validation comes next."""
        every = trainer.val_check_batch
        # The whole training is one epoch, whose batches are counted through.
        is_due = trainer.enable_validation and every and (batch_idx + 1) % every == 0
        if not is_due:
            self._write(trainer, pl_module, batch_idx)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write what was put off."""
        self._write(trainer, pl_module, trainer.fit_loop.batch_idx)

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Leave out the time that `trainer.max_time` measures: it is that of one call."""
        checkpoint.get("callbacks", {}).pop(Timer.__qualname__, None)

    def _note(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if not self.signal:
            self.signal, self.asked_at = number, now
        elif now - self.asked_at > SAME_SIGNAL:
            # Asked again: whoever asks cannot wait for the end of the step.
            raise StoppedError(number)

    def _write(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch_idx: int
    ) -> None:
        # The batch itself makes no difference to whether and what is written.
        super().on_train_batch_end(trainer, pl_module, None, None, batch_idx)
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            # Gradients are half collected.
            return
        is_last = trainer.global_step >= trainer.max_steps
        is_asked = trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False)
        # `trainer.max_time`, or a callback that has seen enough.
        is_ended = is_last or is_asked or trainer.should_stop
        if is_ended and not self._should_skip_saving_checkpoint(trainer):
            self._save_checkpoint(trainer, str(Path(str(self.dirpath), LAST)))
        if is_asked and not is_last:
            when = f"after step {trainer.global_step} of {trainer.max_steps}, which is kept"
            raise StoppedError(self.signal or signal.SIGTERM, when)
