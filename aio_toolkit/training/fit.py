"""One training run: Lightning trainer, loggers, checkpoints, resumption."""

import dataclasses
import difflib
import inspect
import logging
import warnings
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import instantiate_class
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from aio_toolkit.config import load_config, save_config, to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.training.bar import TrainingBar
from aio_toolkit.training.newest import NewestState

LAST, BEST = "last.ckpt", "best.ckpt"
# What is logged by which the best checkpoint is chosen, and whether more or less of it is better.
LEAST_LOSS = ("val/loss", "min")
# Optimizer steps between checkpoints.
CHECKPOINT_EVERY = 200
# What a run may change when it goes on: the hardware that it happens to be on does not define it.
HARDWARE = ("accelerator", "devices", "enable_progress_bar")
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


class RunConfig(Protocol):
    """What the configuration of every training run has.

    Attributes:
        trainer: options of `lightning.Trainer`, as they stand, except the key `checkpoint_every`
            (steps between checkpoints) and the value `auto` of `precision`, which is `bf16-mixed`
            where the machine that begins the run multiplies bfloat16 and `32-true` where it would
            have to emulate it.
    """

    trainer: dict[str, Any]


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    config: RunConfig,
    out: Path,
) -> Path:
    """Train until `trainer.max_steps`, from the last checkpoint where there is one.

    Args:
        module: what to train; it logs `val/loss`, or what else its `best_by` names.
        data: its batches.
        config: a dataclass; its `trainer` section goes to Lightning.
        out: experiment folder.

    Returns:
        Path of the best checkpoint, by the least `val/loss` unless the module's `best_by` says
        otherwise, or of the last where there was no validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    settled = claim(out, config)
    best_by = getattr(module, "best_by", LEAST_LOSS)
    trainer = _make_trainer(dict(settled.trainer), out, best_by)
    last = out / "checkpoints" / LAST
    try:
        resume_from = last if last.is_file() else None
        trainer.fit(module, data, ckpt_path=resume_from, weights_only=False)
    except SystemExit:
        # Lightning turns Ctrl-C into a silent exit; the user is told how to go on.
        raise KeyboardInterrupt from None
    best = out / "checkpoints" / BEST
    if best.is_file():
        return best
    # The run was too short for a validation.
    trainer.save_checkpoint(last)
    return last


def claim[C: RunConfig](out: Path, config: C) -> C:
    """Keep the run's configuration in its folder.

    The precision `auto` is settled when a run begins and kept from then on: resumed on another
    machine, the run would else change its precision in silence.

    Returns:
        The configuration, with a precision in the place of `auto`.

    Raises:
        AioError: another configuration began the folder.
    """
    path = out / "config.yaml"
    if not path.is_file():
        settled = _settle_precision(config, None)
        if is_first_rank():
            save_config(settled, path)
        return settled
    begun = load_config(type(config), path)
    settled = _settle_precision(config, begun.trainer.get("precision"))
    difference = _difference(_comparable(begun), _comparable(settled))
    if difference:
        raise AioError(
            f"{out} was begun with another configuration ({difference}). Give the change by "
            "--codec_args, --ssl_args or --train_args, which name the folder, choose another --tag "
            "for stage 4, or delete it."
        )
    return settled


def is_finished(product: Path, config: RunConfig) -> bool:
    """Whether a run has written what it is for.

    Args:
        product: the file, in the run's folder.
        config: of the run that would write it.

    Raises:
        AioError: another configuration wrote it.

    >>> is_finished(Path("exp/nowhere/model.pt"), config=None)
    False
    """
    if not product.is_file():
        return False
    claim(product.parent, config)
    say(f"{product} is finished: nothing to do")
    return True


def is_first_rank() -> bool:
    """Whether this process is the one that prints and writes for all.

    >>> is_first_rank()  # a single process
    True
    """
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def say(message: str) -> None:
    """Print a line; of several processes only the first does.

    >>> say("wrote exp/model.pt")
    wrote exp/model.pt
    """
    if is_first_rank():
        print(message)


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


def _settle_precision[C: RunConfig](config: C, begun: str | None) -> C:
    """The configuration with a precision in the place of `auto`; `begun` is that of the run so
    far."""
    if config.trainer.get("precision") != "auto":
        return config
    on_gpu = _is_on_gpu(config.trainer.get("accelerator", "auto"))
    has_bfloat16 = multiplies_bfloat16("cuda" if on_gpu else "cpu")
    fastest = "bf16-mixed" if has_bfloat16 else "32-true"
    machine = f"this {'GPU' if on_gpu else 'CPU'} {'has' if has_bfloat16 else 'has no'} bfloat16"

    if begun is None:
        say(f"precision {fastest}: {machine}")
    elif begun != fastest:
        say(f"precision {begun}, as the run began, although {machine}")
    trainer = {**config.trainer, "precision": begun or fastest}
    return dataclasses.replace(config, trainer=trainer)  # type: ignore[type-var]


def _is_on_gpu(accelerator: str) -> bool:
    has_gpu = accelerator == "auto" and torch.cuda.is_available()
    return accelerator in ("gpu", "cuda") or has_gpu


def _comparable(config: RunConfig) -> dict[str, Any]:
    """What defines a run."""
    values = to_dict(config)
    trainer = dict(values["trainer"])
    for key in HARDWARE:
        trainer.pop(key, None)
    return {**values, "trainer": trainer}


def _difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> str:
    """The first key whose values differ, and both values; empty where none does."""
    for key in old | new:
        before, now = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            inner = _difference(before, now, f"{prefix}{key}.")
            if inner:
                return inner
        elif before != now:
            return f"{prefix}{key}: {before} there, {now} now"
    return ""
