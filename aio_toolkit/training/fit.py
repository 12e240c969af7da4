"""One training run: Lightning trainer, loggers, checkpoints, resumption."""

import difflib
import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import instantiate_class
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from aio_toolkit.errors import AioError
from aio_toolkit.training.bar import TrainingBar
from aio_toolkit.training.newest import NewestState
from aio_toolkit.training.run import Run
from aio_toolkit.training.stopwatch import Stopwatch

LAST, BEST = "last.ckpt", "best.ckpt"
# What is logged by which the best checkpoint is chosen, and whether more or less of it is better.
LEAST_LOSS = ("val/loss", "min")
# Optimizer steps between checkpoints.
CHECKPOINT_EVERY = 200
# Lightning's remarks that are wrong here or help nobody: on its internals, its hosted products,
# loaders of small machines, frozen parts, and loaders that cannot resume (ours start at the right
# step).
CHATTER = (
    "LeafSpec",
    "many workers",
    "logging interval",
    "in eval mode",
    "not resumable",
    "is not empty",
)


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
    """
    run.out.mkdir(parents=True, exist_ok=True)
    settled = run.claim()
    best_by = getattr(module, "best_by", LEAST_LOSS)
    trainer = _make_trainer(dict(settled.trainer), run.out, best_by)
    last = run.out / "checkpoints" / LAST
    try:
        resume_from = last if last.is_file() else None
        trainer.fit(module, data, ckpt_path=resume_from, weights_only=False)
    except SystemExit:
        # Lightning turns Ctrl-C into a silent exit; the user is told how to go on.
        raise KeyboardInterrupt from None
    best = run.out / "checkpoints" / BEST
    if best.is_file():
        return best
    # The run was too short for a validation.
    trainer.save_checkpoint(last)
    return last


def load_weights(module: lightning.LightningModule, checkpoint: Path) -> None:
    """Put a checkpoint's weights into the module."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=False)
    module.load_state_dict(content["state_dict"])


def _make_trainer(
    options: dict[str, Any], out: Path, best_by: tuple[str, str]
) -> lightning.Trainer:
    """A trainer with the user's options over the toolkit's own."""
    every = options.pop("checkpoint_every", CHECKPOINT_EVERY)
    callbacks: list[Callback] = [*_checkpoints(out, every, best_by), LearningRateMonitor("step")]
    callbacks.append(Stopwatch())
    if options.get("enable_progress_bar", True):
        callbacks.append(TrainingBar())
    callbacks += [_make_callback(spec) for spec in options.pop("callbacks", [])]
    _check_options(options)

    for topic in CHATTER:
        warnings.filterwarnings("ignore", f".*{topic}")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    loggers = [CSVLogger(out, name="logs"), TensorBoardLogger(out, name="tensorboard")]
    defaults = {
        "logger": loggers,
        "num_sanity_val_steps": 0,
        "check_val_every_n_epoch": None,
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "gradient_clip_val": 1.0,
    }
    return lightning.Trainer(**{**defaults, **options, "callbacks": callbacks})


def _checkpoints(out: Path, checkpoint_every: int, best_by: tuple[str, str]) -> list[Callback]:
    """Two keepers: the newest state to resume from, and the best to decode with."""
    folder = out / "checkpoints"
    last = NewestState(
        folder,
        filename="last",
        every_n_train_steps=checkpoint_every,
        save_top_k=1,
        enable_version_counter=False,
    )
    monitor, mode = best_by
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=monitor,
        mode=mode,
        save_top_k=1,
        enable_version_counter=False,
        save_weights_only=True,
    )
    # In this order: the newest state holds which step was the best.
    return [best, last]


def _make_callback(spec: dict[str, Any]) -> Callback:
    """A callback from `{class_path: package.Class, init_args: {...}}`, the form of Lightning's own
    CLI."""
    try:
        return instantiate_class((), spec)
    except (ImportError, AttributeError, KeyError, TypeError, ValueError) as error:
        named = spec.get("class_path", spec)
        raise AioError(f"trainer.callbacks: cannot make {named}: {error}.") from None


def _check_options(options: dict[str, Any]) -> None:
    known = set(inspect.signature(lightning.Trainer).parameters)
    for key in options:
        if key not in known:
            names = known | {"checkpoint_every"}
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]
            raise AioError(f"unknown key 'trainer.{key}'. Did you mean 'trainer.{near}'?")
    if options.get("max_steps", -1) < 1:
        raise AioError(
            "key 'trainer.max_steps' has no value and needs one: the number of optimizer steps."
        )
