"""What defines a training run, kept in its folder: another run is told from it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch.utilities import rank_zero_only

from aio_toolkit.config import END, load_config, save_config, to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, sha256_file, write_json
from aio_toolkit.precision import multiplies_bfloat16

CONFIG, MADE_FROM = "config.yaml", "made_from.json"
CHECKPOINTS = "checkpoints"
# What does not define a run, so that it may change when the run goes on: the hardware that it
# happens to be on, how it is watched, and what ends it early.
INCIDENTAL = {
    "trainer": (
        *("accelerator", "devices", "num_nodes"),
        *("enable_progress_bar", "log_every_n_steps", "profiler", "limit_val_batches"),
        *("checkpoint_every", "max_time", "fast_dev_run"),
    ),
    "data": ("num_workers", "dev_seconds"),
}


class RunConfig(Protocol):
    """What the configuration of every training run has.

    Attributes:
        trainer: options of `lightning.Trainer`, as they stand, except the key `checkpoint_every`
            (steps between checkpoints) and the value `auto` of `precision`, which is `bf16-mixed`
            where the machine that begins the run multiplies bfloat16 and `32-true` where it would
            have to emulate it.
    """

    trainer: dict[str, Any]


@dataclass(frozen=True)
class Run[C: RunConfig]:
    """A training run.

    Attributes:
        config: a complete description of it.
        out: its folder.
        made_from: what it learns from: names of data, units and models, and what tells each from
            other versions of itself.

    >>> Run(config=None, out=Path("exp/nowhere")).is_finished("model.pt")
    False
    """

    config: C
    out: Path
    made_from: Mapping[str, str] = field(default_factory=dict)

    def is_finished(self, product: str) -> bool:
        """Whether the run has written what it is for, a file of its folder.

        Raises:
            AioError: another run wrote it.
        """
        path = self.out / product
        if not path.is_file():
            return False
        self.settled()
        before = self._begun_steps()
        if before < _steps(self.config):
            kept = path.with_stem(f"{path.stem}_of_{before}_steps")
            if is_first_rank():
                path.replace(kept)
            say(f"{path} of {before} steps is kept as {kept}: the run goes on")
            return False
        say(f"{path} is finished: nothing to do")
        return True

    def settled(self) -> C:
        """The configuration, with a precision in the place of `auto`.

        It is settled when a run begins and kept from then on: resumed on another machine, the run
        would else change its precision in silence.

        Raises:
            AioError: another configuration began the folder, or what it was made from has changed.
        """
        if not self._has_learnt():
            return _settle_precision(self.config, None)
        begun = self._begun()
        settled = _settle_precision(self.config, begun.trainer.get("precision"))
        old, new = _comparable(begun), _comparable(settled)
        if _steps(begun) < _steps(settled):
            # Who trains for longer goes on with what has been learnt.
            old["trainer"]["max_steps"] = _steps(settled)
        difference = _difference(old, new)
        if difference:
            raise AioError(
                f"{self.out} was begun with another configuration ({difference}). Give the change "
                "by --codec_args, --ssl_args or --train_args, which name the folder, choose "
                "another --tag for stage 4, or delete it."
            )
        changed = self._changed()
        if changed:
            problem = f"{self.out} was begun before {changed} changed"
            others = "other folders (--expdir, --dumpdir)"
            remedy = f"Delete {self.out} to train anew, or keep it and work in {others}"
            damage = "A file that should not have changed is damaged: delete it and make it again"
            raise AioError(f"{problem}. {remedy}. {damage}.")
        return settled

    def claim(self, settled: C) -> None:
        """Keep a settled configuration, and what the run is made from, in the run's folder."""
        if self._has_learnt() and self._begun_steps() < _steps(settled):
            say(f"{self.out} goes on to {_steps(settled)} steps, at the rates of so long a run")
        if is_first_rank():
            write_json(self.out / MADE_FROM, dict(self.made_from))
            # Last: it says that the folder is taken.
            save_config(settled, self.out / CONFIG)

    def differs(self) -> str:
        """What tells the run from the one that its folder describes; empty for nothing."""
        begun = self._begun()
        precision = begun.trainer.get("precision")
        config = self.config
        if precision and config.trainer.get("precision") == "auto":
            config = _with_precision(config, precision)
        return _difference(_comparable(begun), _comparable(config)) or self._changed()

    def _has_learnt(self) -> bool:
        """Whether there is anything to be lost: a run that failed before has taken no folder."""
        products = [*self.out.glob("*.pt"), *self.out.glob("*.safetensors")]
        return any((self.out / CHECKPOINTS).glob("*.ckpt")) or bool(products)

    def _begun(self) -> C:
        """The configuration that the folder was begun with."""
        path = self.out / CONFIG
        try:
            if not path.is_file() or not path.read_bytes().endswith(END.encode()):
                raise AioError(f"{path} is missing or cut off.")
            read_json(self.out / MADE_FROM)
            return load_config(type(self.config), path)
        except AioError as error:
            reason = str(error).partition(". ")[0].rstrip(".")
            remedy = f"Put it back, or delete {self.out} to train anew"
            raise AioError(f"{reason}: how the run was begun is not known. {remedy}.") from None

    def _begun_steps(self) -> int:
        return _steps(self._begun())

    def _changed(self) -> str:
        """What the run learns from that is not what it was."""
        before = read_json(self.out / MADE_FROM)
        changed = [what for what, digest in self.made_from.items() if before.get(what) != digest]
        return ", ".join(changed)


def contents(*paths: Path) -> dict[str, str]:
    """What tells files, alone or in folders, from other versions of themselves, by their paths.

    Raises:
        AioError: one is not there.
    """
    told: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            stages = "2 for units, 3 for an encoder, 4 for a model"
            raise AioError(f"{path} does not exist. Run the stage that makes it first: {stages}.")
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        told |= {str(file): sha256_file(file) for file in files if file.is_file()}
    return told


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
    return _with_precision(config, begun or fastest)


def _with_precision[C: RunConfig](config: C, precision: str) -> C:
    trainer = {**config.trainer, "precision": precision}
    return dataclasses.replace(config, trainer=trainer)  # type: ignore[type-var]


def _is_on_gpu(accelerator: str) -> bool:
    has_gpu = accelerator == "auto" and torch.cuda.is_available()
    return accelerator in ("gpu", "cuda") or has_gpu


def _comparable(config: RunConfig) -> dict[str, Any]:
    """What defines a run."""
    values = to_dict(config)
    for section, keys in INCIDENTAL.items():
        options = values.get(section, {})
        values[section] = {key: value for key, value in options.items() if key not in keys}
    return values


def _steps(config: RunConfig) -> int:
    return config.trainer.get("max_steps", 0)


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
