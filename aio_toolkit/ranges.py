"""Fields of a configuration that hold numbers within a range."""

import copy
import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

# What `bounded` leaves at a field.
RANGE = "range"


@dataclass(frozen=True)
class Range:
    """Finite numbers between bounds.

    >>> 0.5 in Range(above=0, most=1), 0 in Range(above=0, most=1), math.nan in Range()
    (True, False, False)
    >>> str(Range(above=0, most=1)), str(Range())
    ('above 0 and at most 1', 'finite')
    """

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        is_within = self.least <= value <= self.most and self.above < value < self.below
        return math.isfinite(value) and is_within

    def __str__(self) -> str:
        bounds = {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        told = [f"{words} {bound:g}" for words, bound in bounds.items() if math.isfinite(bound)]
        return " and ".join(told) or "finite"


def bounded(default: Any, **bounds: float) -> Any:
    """A field that holds a number within a range, or a list or dict of such; None is in all ranges.

    Args:
        default: its default.
        bounds: `least` or `above`, `most` or `below`.

    >>> from aio_toolkit.config import load_config
    >>> @dataclass
    ... class Config:
    ...     share: float = bounded(0.5, above=0, most=1)
    >>> load_config(Config, None, ["share=2"])
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: override 'share=2': key 'share' must be above 0 and at most 1, ...
    """
    metadata = {RANGE: Range(**bounds)}
    if isinstance(default, list | dict):
        # A new one for each instance: a default that all shared could be changed through any.
        factory = functools.partial(copy.copy, default)
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def out_of_range(value: Any, allowed: Range = Range(), key: str = "") -> Iterator[str]:
    """What to tell of each number in a section, or in sections below, that its field does not take.

    Numbers of fields without a range are finite. References are not followed.

    Args:
        value: the section.
        allowed: range of numbers in it that no field declares.
        key: where it is; empty for the uppermost.

    >>> list(out_of_range(OmegaConf.create({"optim": {"lr": math.nan, "steps": 3}})))
    ["key 'optim.lr' must be finite, not nan"]
    """
    if isinstance(value, DictConfig):
        declared = _ranges(OmegaConf.get_type(value))
        name: Any
        for name in value:
            if OmegaConf.is_missing(value, name) or OmegaConf.is_interpolation(value, name):
                continue
            inner_key = f"{key}.{name}" if key else str(name)
            yield from out_of_range(value[name], declared.get(str(name), allowed), inner_key)
    elif isinstance(value, ListConfig):
        for inner in value:
            yield from out_of_range(inner, allowed, key)
    elif _is_number(value) and value not in allowed:
        yield f"key '{key}' must be {allowed}, not {value}"


def _ranges(schema: Any) -> dict[str, Range]:
    """The ranges of a dataclass's fields by name; of anything else none."""
    if not dataclasses.is_dataclass(schema):
        return {}
    fields = dataclasses.fields(schema)
    return {f.name: f.metadata[RANGE] for f in fields if RANGE in f.metadata}


def _is_number(value: Any) -> bool:
    # Python takes True for 1.
    return isinstance(value, int | float) and not isinstance(value, bool)
