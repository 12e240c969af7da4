"""What defines a training run, kept in its folder: another run is told from it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch.utilities import rank_zero_only

from aio_toolkit.config import load_config, save_config, to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, sha256_file, write_json
from aio_toolkit.precision import multiplies_bfloat16

CONFIG, MADE_FROM = "config.yaml", "made_from.json"
# What a run may change when it goes on: the hardware that it happens to be on does not define it.
HARDWARE = ("accelerator", "devices", "enable_progress_bar")


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
        if not (self.out / product).is_file():
            return False
        self.claim()
        say(f"{self.out / product} is finished: nothing to do")
        return True

    def claim(self) -> C:
        """Keep the run's configuration, and what it is made from, in its folder.

        The precision `auto` is settled when a run begins and kept from then on: resumed on another
        machine, the run would else change its precision in silence.

        Returns:
            The configuration, with a precision in the place of `auto`.

        Raises:
            AioError: another configuration began the folder, or what it was made from has changed.
        """
        path = self.out / CONFIG
        if not path.is_file():
            settled = _settle_precision(self.config, None)
            if is_first_rank():
                write_json(self.out / MADE_FROM, dict(self.made_from))
                # Last: it says that the folder is taken.
                save_config(settled, path)
            return settled
        begun = load_config(type(self.config), path)
        settled = _settle_precision(self.config, begun.trainer.get("precision"))
        difference = _difference(_comparable(begun), _comparable(settled))
        if difference:
            raise AioError(
                f"{self.out} was begun with another configuration ({difference}). Give the change "
                "by --codec_args, --ssl_args or --train_args, which name the folder, choose "
                "another --tag for stage 4, or delete it."
            )
        changed = self._changed()
        if changed:
            problem = f"{self.out} was begun before {changed} changed"
            remedy = f"Delete {self.out} to train anew, or keep it and give another --expdir"
            raise AioError(f"{problem}. {remedy}.")
        return settled

    def differs(self) -> str:
        """What tells the run from the one that its folder describes; empty for nothing."""
        begun = load_config(type(self.config), self.out / CONFIG)
        precision = begun.trainer.get("precision")
        config = self.config
        if precision and config.trainer.get("precision") == "auto":
            config = _with_precision(config, precision)
        return _difference(_comparable(begun), _comparable(config)) or self._changed()

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
            raise AioError(f"{path} does not exist. Run the stage that makes it first.")
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
