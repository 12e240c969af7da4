"""Lightning's trainer, made of the `trainer:` section of a configuration."""

import importlib
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import Strategy

from aio_toolkit.errors import AioError
from aio_toolkit.training.bar import TrainingBar
from aio_toolkit.training.checkpoints import BEST, CheckpointFiles
from aio_toolkit.training.newest import NewestState
from aio_toolkit.training.stopwatch import Stopwatch
from aio_toolkit.training.trainer_options import check_trainer

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


def make_trainer(
    section: Mapping[str, Any], out: Path, best_by: tuple[str, str]
) -> lightning.Trainer:
    """A trainer with the user's options over the toolkit's own.

    Args:
        section: the `trainer` section; besides options of `lightning.Trainer` it has
            `checkpoint_every`. `strategy`, and each of `callbacks`, may be
            `{class_path: package.Class, init_args: {...}}`, the form of Lightning's own CLI.
        out: where it writes.
        best_by: what is logged by which the best checkpoint is chosen, and `min` or `max`.

    Raises:
        AioError: an option is unknown or has a value that it cannot have.
    """
    check_trainer(section)
    options = dict(section)
    every = options.pop("checkpoint_every", CHECKPOINT_EVERY)
    callbacks: list[Callback] = [*_checkpoints(out, every, best_by), Stopwatch()]
    if options.get("logger", True):
        callbacks.append(LearningRateMonitor("step"))
    if options.get("enable_progress_bar", True):
        callbacks.append(TrainingBar())
    for spec in options.pop("callbacks", None) or []:
        callbacks.append(_make("callbacks", spec, Callback))
    if isinstance(options.get("strategy"), Mapping):
        options["strategy"] = _make("strategy", options["strategy"], Strategy)

    for topic in CHATTER:
        warnings.filterwarnings("ignore", f".*{topic}")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    defaults = {
        "default_root_dir": out,
        "logger": [CSVLogger(out, name="logs"), TensorBoardLogger(out, name="tensorboard")],
        "num_sanity_val_steps": 0,
        "check_val_every_n_epoch": None,
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "gradient_clip_val": 1.0,
    }
    own = {"callbacks": callbacks, "plugins": [CheckpointFiles()]}
    try:
        trainer = lightning.Trainer(**{**defaults, **options, **own})
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise AioError(f"trainer: {' '.join(str(error).split())}") from None
    _check_processes(trainer)
    return trainer


def _checkpoints(out: Path, checkpoint_every: int, best_by: tuple[str, str]) -> list[Callback]:
    """Two keepers: the newest state to resume from, and the best to decode with."""
    folder = out / "checkpoints"
    monitor, mode = best_by
    best = ModelCheckpoint(
        folder,
        filename=Path(BEST).stem,
        monitor=monitor,
        mode=mode,
        save_top_k=1,
        enable_version_counter=False,
        save_weights_only=True,
    )
    # In this order: the newest state holds which step was the best.
    return [best, NewestState(folder, checkpoint_every)]


def _make[T](key: str, spec: Any, base: type[T]) -> T:
    """An instance of a class that the configuration names."""
    named = spec.get("class_path") if isinstance(spec, Mapping) else None
    if not isinstance(named, str):
        form = "{class_path: package.Class, init_args: {...}}"
        raise AioError(f"trainer.{key}: {spec} is not of the form {form}.")
    module, _, name = named.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
        # Before it is called: a configuration is no program.
        if not (isinstance(found, type) and issubclass(found, base)):
            raise AioError(f"trainer.{key}: {named} is no {base.__name__} of Lightning.")
        return found(**spec.get("init_args", {}))
    except (ImportError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise AioError(f"trainer.{key}: cannot make {named}: {error}.") from None


def _check_processes(trainer: lightning.Trainer) -> None:
    """Refuse processes that do not know of each other: each would train a model of its own."""
    # Not what the trainer takes for its world: where torchrun has started it, that is torchrun's.
    wanted = trainer.num_devices * trainer.num_nodes
    started = int(os.environ.get("WORLD_SIZE", wanted))
    if started != wanted:
        made = f"trainer.devices and trainer.num_nodes make {wanted}"
        remedy = "Set them to the processes on a node and the nodes"
        raise AioError(f"{started} processes were started, but {made}. {remedy}.")
