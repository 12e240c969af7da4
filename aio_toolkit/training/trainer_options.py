"""What the `trainer:` section of a configuration may say, told without importing Lightning."""

import ast
import difflib
import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError

# Whole numbers of the section, which count something.
COUNTS = ("max_steps", "checkpoint_every", "accumulate_grad_batches", "log_every_n_steps")
# The least values of others, which Lightning takes as they come.
LEAST = {"gradient_clip_val": 0, "val_check_interval": 1}
# Options that Lightning does not have, and one that the toolkit has a use of its own for.
OURS, TAKEN = "checkpoint_every", "plugins"


def check_trainer(section: Mapping[str, Any]) -> None:
    """Refuse what can be told of a `trainer` section before there is anything to train.

    Raises:
        AioError: an option is unknown, lacks, or has a value that it cannot have.

    >>> check_trainer({"max_steps": 0})
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: trainer.max_steps is a whole number from 1 on, not 0.
    """
    known = {OURS, *lightning_options()} - {TAKEN}
    for key, value in section.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise AioError(f"unknown key 'trainer.{key}'. Did you mean 'trainer.{near}'?")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if key in COUNTS and not (is_number and isinstance(value, int) and value >= 1):
            raise AioError(f"trainer.{key} is a whole number from 1 on, not {value!r}.")
        if key in LEAST and value is not None and not (is_number and value >= LEAST[key]):
            raise AioError(f"trainer.{key} is a number from {LEAST[key]:g} on, not {value!r}.")
    if "max_steps" not in section:
        raise AioError(
            "key 'trainer.max_steps' has no value and needs one: the number of optimizer steps."
        )


@functools.cache
def lightning_options() -> frozenset[str]:
    """The arguments of `lightning.Trainer`, read off its source: its import takes seconds.

    >>> "max_steps" in lightning_options()
    True
    """
    spec = importlib.util.find_spec("lightning")
    (package,) = spec.submodule_search_locations  # type: ignore[misc, union-attr]
    source = Path(package, "pytorch/trainer/trainer.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            arguments = node.args
            names = [one.arg for one in (*arguments.args, *arguments.kwonlyargs)]
            return frozenset(names) - {"self"}
    raise AssertionError("Lightning's trainer has no constructor")
