"""The progress bar of a training run."""

import sys

import lightning
from lightning.pytorch.callbacks import TQDMProgressBar

# Batches between two updates: a log file gets a line now and then, a terminal every step.
LIVE, LOGGED = 1, 50


class TrainingBar(TQDMProgressBar):
    """Lightning's bar, which knows how much is left and how fast it goes in a resumed run too.

    A run that resumes in the middle of an epoch never comes to the hook in which Lightning tells
    the bar the total.

    >>> TrainingBar().refresh_rate in (LIVE, LOGGED)
    True
    """

    def __init__(self) -> None:
        is_terminal = sys.stderr.isatty()
        super().__init__(refresh_rate=LIVE if is_terminal else LOGGED)

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Start the bar where the run stands."""
        super().on_train_start(trainer, pl_module)
        bar = self.train_progress_bar
        bar.total = int(trainer.num_training_batches)
        done = trainer.global_step * trainer.accumulate_grad_batches
        # From `initial` on the bar measures its speed.
        bar.n = bar.initial = done
