"""One training run: Lightning trainer, loggers, checkpoints, resumption."""

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

from aio_toolkit.config import load_config, save_config, to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.training.bar import TrainingBar

LAST, BEST = "last.ckpt", "best.ckpt"
# Optimizer steps between checkpoints.
CHECKPOINT_EVERY = 200
# What a run may change when it goes on: the hardware that it happens to be on does not define it.
HARDWARE = ("accelerator", "devices", "enable_progress_bar")
# Lightning's remarks that are wrong here or help nobody: on its internals, its hosted products, loaders
# of small machines, frozen parts, and loaders that cannot resume (ours start at the right step).
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
            where the machine multiplies bfloat16 and `32-true` where it would have to emulate it.
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
        module: what to train; it logs `val/loss`.
        data: its batches.
        config: a dataclass; its `trainer` section goes to Lightning.
        out: experiment folder.

    Returns:
        Path of the checkpoint with the least `val/loss`, or of the last where there was no
        validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    claim(out, config)
    trainer = _make_trainer(dict(config.trainer), out)
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


def claim(out: Path, config: RunConfig) -> None:
    """Keep the run's configuration in its folder; refuse a folder that another configuration
    began."""
    path = out / "config.yaml"
    if not path.is_file():
        save_config(config, path)
        return
    begun = load_config(type(config), path)
    difference = _difference(_comparable(begun), _comparable(config))
    if difference:
        raise AioError(
            f"{out} was begun with another configuration ({difference}). Give the change by "
            "--codec_args, --ssl_args or --train_args, which name the folder, choose another --tag "
            "for stage 4, or delete it."
        )


def load_weights(module: lightning.LightningModule, checkpoint: Path) -> None:
    """Put a checkpoint's weights into the module."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=False)
    module.load_state_dict(content["state_dict"])


def _make_trainer(options: dict[str, Any], out: Path) -> lightning.Trainer:
    """A trainer with the user's options over the toolkit's own."""
    every = options.pop("checkpoint_every", CHECKPOINT_EVERY)
    callbacks: list[Callback] = [*_checkpoints(out, every), LearningRateMonitor("step")]
    if options.get("enable_progress_bar", True):
        callbacks.append(TrainingBar())
    callbacks += [_make_callback(spec) for spec in options.pop("callbacks", [])]
    _check_options(options)
    if options.get("precision") == "auto":
        options["precision"] = _fastest_precision(options.get("accelerator", "auto"))

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


def _checkpoints(out: Path, checkpoint_every: int) -> list[Callback]:
    """Two keepers: the newest state to resume from, and the best to decode with."""
    folder = out / "checkpoints"
    last = ModelCheckpoint(
        folder,
        filename="last",
        every_n_train_steps=checkpoint_every,
        save_top_k=1,
        enable_version_counter=False,
    )
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor="val/loss",
        save_top_k=1,
        enable_version_counter=False,
        save_weights_only=True,
    )
    return [last, best]


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


def _fastest_precision(accelerator: str) -> str:
    has_gpu = accelerator == "auto" and torch.cuda.is_available()
    on_gpu = accelerator in ("gpu", "cuda") or has_gpu
    has_bfloat16 = multiplies_bfloat16("cuda" if on_gpu else "cpu")
    precision = "bf16-mixed" if has_bfloat16 else "32-true"
    machine = "GPU" if on_gpu else "CPU"
    has = "has" if has_bfloat16 else "has no"
    print(f"precision {precision}: this {machine} {has} bfloat16")
    return precision


def _comparable(config: RunConfig) -> dict[str, Any]:
    """What defines a run."""
    values = to_dict(config)
    trainer = {key: v for key, v in values["trainer"].items() if key not in HARDWARE}
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
