"""The progress bar of a training run."""

import sys

import lightning
from lightning.pytorch.callbacks import TQDMProgressBar


class TrainingBar(TQDMProgressBar):
    """Lightning's bar, which knows how much is left and how fast it goes in a resumed run too.

    A run that resumes in the middle of an epoch never comes to the hook in which Lightning tells
    the bar the total.
    """

    def __init__(self) -> None:
        # A log file gets a line now and then, a terminal every step.
        super().__init__(refresh_rate=1 if sys.stderr.isatty() else 50)

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Start the bar where the run stands."""
        super().on_train_start(trainer, pl_module)
        bar = self.train_progress_bar
        bar.total = int(trainer.num_training_batches)
        bar.n = bar.initial = trainer.global_step * trainer.accumulate_grad_batches
