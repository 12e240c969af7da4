"""One training run, from the newest checkpoint to the best one."""

import contextlib
from pathlib import Path
from typing import Any

import lightning

from aio_toolkit.errors import AioError
from aio_toolkit.folders import alone_in
from aio_toolkit.tensor_files import read_torch
from aio_toolkit.training.checkpoints import BEST, LAST, newest
from aio_toolkit.training.failures import told_to_others
from aio_toolkit.training.run import Run, is_first_rank
from aio_toolkit.training.trainer import make_trainer

# What is logged by which the best checkpoint is chosen, and whether more or less of it is better.
LEAST_LOSS = ("val/loss", "min")


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    run: Run[Any],
) -> Path:
    """Train until `trainer.max_steps`, from the last checkpoint where there is one.

    Args:
        module: what to train; it logs `val/loss`, or what else its `best_by` names.
        data: its batches.
        run: what defines it, and its folder; the `trainer` section goes to Lightning.

    Returns:
        Path of the best checkpoint, by the least `val/loss` unless the module's `best_by` says
        otherwise, or of the last where there was no validation.

    Raises:
        AioError: another run is at work in the folder or began it, its checkpoints are damaged, an
            option of the trainer is unknown, or the last step was not made.
        StoppedError: a signal ended the run; what it had learnt is kept.
    """
    checkpoints = run.out / "checkpoints"
    # One rank asks for all.
    with alone_in(run.out) if is_first_rank() else contextlib.nullcontext():
        settled = run.settled()
        best_by = getattr(module, "best_by", LEAST_LOSS)
        trainer = make_trainer(settled.trainer, run.out, best_by)
        resume_from = newest(checkpoints)
        run.claim(settled)
        try:
            with told_to_others(run.out, trainer.world_size):
                trainer.fit(module, data, ckpt_path=resume_from, weights_only=True)
        except SystemExit:
            # Lightning turns Ctrl-C into a silent exit; the user is told how to go on.
            raise KeyboardInterrupt from None
        _check_end(trainer, settled.trainer["max_steps"])
    best = checkpoints / BEST
    # A short run was never validated.
    return best if best.is_file() else checkpoints / LAST


def load_weights(module: lightning.LightningModule, checkpoint: Path) -> None:
    """Put a checkpoint's weights into the module."""
    module.load_state_dict(read_torch(checkpoint)["state_dict"])


def _check_end(trainer: lightning.Trainer, max_steps: int) -> None:
    """Tell of a training that something ended before its last step."""
    made = trainer.global_step
    if made >= max_steps:
        return
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        remedy = "Run it without trainer.fast_dev_run"
        raise AioError(f"the try of {made} of {max_steps} steps went well. {remedy}.")
    remedy = "Run the same command again to go on"
    raise AioError(f"the training ended after {made} of {max_steps} steps. {remedy}.")
