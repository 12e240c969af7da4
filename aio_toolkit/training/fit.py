"""One training run: Lightning trainer, loggers, checkpoints, resumption."""

import contextlib
import difflib
import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import instantiate_class
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from aio_toolkit.errors import AioError
from aio_toolkit.folders import alone_in
from aio_toolkit.training.bar import TrainingBar
from aio_toolkit.training.checkpoints import BEST, LAST, CheckpointFiles, newest
from aio_toolkit.training.newest import NewestState
from aio_toolkit.training.run import Run, is_first_rank
from aio_toolkit.training.stopwatch import Stopwatch

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
        trainer = _make_trainer(dict(settled.trainer), run.out, best_by)
        resume_from = newest(checkpoints)
        run.claim(settled)
        try:
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
    content = CheckpointFiles().load_checkpoint(checkpoint)
    module.load_state_dict(content["state_dict"])


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
        "default_root_dir": out,
        "logger": loggers,
        "num_sanity_val_steps": 0,
        "check_val_every_n_epoch": None,
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "gradient_clip_val": 1.0,
    }
    plugins = [CheckpointFiles(), *options.pop("plugins", [])]
    own = {"callbacks": callbacks, "plugins": plugins}
    return lightning.Trainer(**{**defaults, **options, **own})


def _checkpoints(out: Path, checkpoint_every: int, best_by: tuple[str, str]) -> list[Callback]:
    """Two keepers: the newest state to resume from, and the best to decode with."""
    folder = out / "checkpoints"
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
    return [best, NewestState(folder, checkpoint_every)]


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
