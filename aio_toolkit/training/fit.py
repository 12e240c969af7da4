"""One training run: Lightning trainer, loggers, checkpoints, resumption."""

import dataclasses
import difflib
import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from aio_toolkit.config import load_config, save_config
from aio_toolkit.errors import AioError
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.training.bar import TrainingBar

LAST, BEST = "last.ckpt", "best.ckpt"


def fit(module: lightning.LightningModule, data: lightning.LightningDataModule, config: Any, out: Path) -> Path:
    """Train until `trainer.max_steps`, from the last checkpoint where there is one.

    Args:
        module: what to train; it logs `val/loss`.
        data: its batches.
        config: dataclass with a `trainer` section, which goes to `lightning.Trainer` as it stands but for the key
            `checkpoint_every` (steps between checkpoints) and the value `auto` of `precision`, which is `bf16-mixed`
            where the machine multiplies bfloat16 and `32-true` where it would have to emulate it.
        out: experiment folder.

    Returns:
        Path of the checkpoint with the least `val/loss`, or of the last where there was no validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    claim(out, config)
    options = dict(config.trainer)
    checkpoint_every = options.pop("checkpoint_every", 200)
    callbacks = _checkpoints(out, checkpoint_every)
    if options.get("enable_progress_bar", True):
        callbacks.append(TrainingBar())
    options["callbacks"] = [*callbacks, LearningRateMonitor("step"), *map(_instantiate, options.get("callbacks", []))]
    _check_options(options)
    if options.get("precision") == "auto":
        options["precision"] = _fastest_precision(options.get("accelerator", "auto"))
    _silence_chatter()
    trainer = lightning.Trainer(
        **{
            "logger": [CSVLogger(out, name="logs"), TensorBoardLogger(out, name="tensorboard")],
            "num_sanity_val_steps": 0,
            "check_val_every_n_epoch": None,
            "use_distributed_sampler": False,
            "enable_model_summary": False,
            "gradient_clip_val": 1.0,
            **options,
        }
    )
    last = out / "checkpoints" / LAST
    try:
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=False)
    except SystemExit:
        # Lightning turns Ctrl-C into a silent exit; the user is told how to go on.
        raise KeyboardInterrupt from None
    best = out / "checkpoints" / BEST
    if not best.is_file():  # the run was too short for a validation
        trainer.save_checkpoint(last)
    return best if best.is_file() else last


def claim(out: Path, config: Any) -> None:
    """Keep the run's configuration in its folder; refuse a folder that another configuration began."""
    path = out / "config.yaml"
    if path.is_file():
        difference = _difference(_comparable(load_config(type(config), path)), _comparable(config))
        if difference:
            raise AioError(
                f"{out} was begun with another configuration ({difference}). Give the change by --codec_args, "
                "--ssl_args or --train_args, which name the folder, choose another --tag for stage 4, or delete it."
            )
    else:
        save_config(config, path)


def _comparable(config: Any) -> dict:
    """What defines a run; the hardware it happens to be on does not."""
    values = dataclasses.asdict(config)
    for key in ("accelerator", "devices", "enable_progress_bar"):
        values["trainer"].pop(key, None)
    return values


def _difference(old: dict, new: dict, prefix: str = "") -> str:
    for key in old | new:
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if inner := _difference(a, b, f"{prefix}{key}."):
                return inner
        elif a != b:
            return f"{prefix}{key}: {a} there, {b} now"
    return ""


def _checkpoints(out: Path, checkpoint_every: int) -> list[lightning.Callback]:
    folder = out / "checkpoints"
    # Two keepers: the newest state to resume from, and the best to decode with.
    last = ModelCheckpoint(
        folder, filename="last", every_n_train_steps=checkpoint_every, save_top_k=1, enable_version_counter=False
    )
    best = ModelCheckpoint(
        folder, filename="best", monitor="val/loss", save_top_k=1, enable_version_counter=False, save_weights_only=True
    )
    return [last, best]


def _instantiate(spec: dict[str, Any]) -> lightning.Callback:
    """A callback from `{class_path: package.Class, init_args: {...}}`, the form of Lightning's own CLI."""
    import importlib

    module, _, name = spec["class_path"].rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**spec.get("init_args", {}))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise AioError(f"trainer.callbacks: cannot make {spec['class_path']}: {error}.") from None


def _check_options(options: dict[str, Any]) -> None:
    known = set(inspect.signature(lightning.Trainer).parameters)
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known | {"checkpoint_every"}, n=1, cutoff=0.0)[0]
            raise AioError(f"unknown key 'trainer.{key}'. Did you mean 'trainer.{near}'?")
    if options.get("max_steps", -1) < 1:
        raise AioError("key 'trainer.max_steps' has no value and needs one: the number of optimiser steps.")


def _fastest_precision(accelerator: str) -> str:
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    has_bfloat16 = multiplies_bfloat16("cuda" if on_gpu else "cpu")
    precision = "bf16-mixed" if has_bfloat16 else "32-true"
    print(f"precision {precision}: this {'GPU' if on_gpu else 'CPU'} has {'' if has_bfloat16 else 'no '}bfloat16")
    return precision


def _silence_chatter() -> None:
    """Drop Lightning's remarks that are wrong here or help nobody: on its internals, its hosted products, loaders of
    small machines, frozen parts, and loaders that cannot resume (the data modules start theirs at the right step).
    """
    for topic in ("LeafSpec", "many workers", "logging interval", "in eval mode", "not resumable", "is not empty"):
        warnings.filterwarnings("ignore", f".*{topic}")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def load_weights(module: lightning.LightningModule, checkpoint: Path) -> None:
    """Put a checkpoint's weights into the module."""
    module.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"])
