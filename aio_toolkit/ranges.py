"""Fields of a configuration that hold numbers within a range, some of it set by other fields."""

import copy
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

# What `bounded` leaves at a field.
RANGE = "range"


@dataclass(frozen=True)
class Range:
    """Finite numbers between bounds.

    Attributes:
        least: the smallest one.
        above: a bound that is too small itself.
        most: the largest one.
        below: a bound that is too large itself.
        multiple: what they are multiples of; None: they need not be.
        odd: whether they are odd, 0 apart, which leaves a thing out where it is allowed.
        divides: name of a field of the same section that they divide; empty: none.
        up_to: name of a field of the same section that they do not exceed; empty: none.

    >>> 0.5 in Range(above=0, most=1), 0 in Range(above=0, most=1), math.nan in Range()
    (True, False, False)
    >>> str(Range(above=0, most=1)), str(Range()), str(Range(least=1, odd=True))
    ('above 0 and at most 1', 'finite', 'at least 1 and odd')
    """

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    multiple: int | None = None
    odd: bool = False
    divides: str = ""
    up_to: str = ""

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if not (self.least <= value <= self.most and self.above < value < self.below):
            return False
        if self.multiple is not None and value % self.multiple:
            return False
        return not self.odd or value == 0 or value % 2 == 1

    def __str__(self) -> str:
        bounds = {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        told = [f"{words} {bound:g}" for words, bound in bounds.items() if math.isfinite(bound)]
        if self.multiple is not None:
            told.append(f"a multiple of {self.multiple}")
        if self.odd:
            told.append("odd, or 0" if 0 in self else "odd")
        return " and ".join(told) or "finite"

    def clash(self, value: float, section: Mapping[Any, Any]) -> str | None:
        """What is wrong with a number in view of others of its section; None: nothing.

        >>> Range(divides="width").clash(3, {"width": 8})
        "must divide 'width', which is 8"
        """
        divided: Any = section.get(self.divides)
        limit: Any = section.get(self.up_to)
        if _is_number(divided) and divided % value:
            return f"must divide '{self.divides}', which is {divided}"
        if _is_number(limit) and value > limit:
            return f"must be at most '{self.up_to}', which is {limit}"
        return None


def bounded(default: Any, **bounds: Any) -> Any:
    """A field that holds a number within a range, or a list or dict of such; None is in all ranges.

    Args:
        default: its default.
        bounds: of a `Range`.

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


def clashes(value: Any, key: str = "") -> Iterator[str]:
    """What to tell of each number that others of its section rule out.

    >>> @dataclass
    ... class Sizes:
    ...     width: int = 8
    ...     num_heads: int = bounded(3, divides="width")
    >>> list(clashes(OmegaConf.structured(Sizes)))
    ["key 'num_heads' must divide 'width', which is 8, not 3"]
    """
    if not isinstance(value, DictConfig):
        return
    declared = _ranges(OmegaConf.get_type(value))
    name: Any
    for name in value:
        inner_key = f"{key}.{name}" if key else str(name)
        inner = value[name]
        yield from clashes(inner, inner_key)
        if name in declared and _is_number(inner):
            problem = declared[name].clash(inner, value)
            if problem:
                yield f"key '{inner_key}' {problem}, not {inner}"


def _ranges(schema: Any) -> dict[str, Range]:
    """The ranges of a dataclass's fields by name; of anything else none."""
    if not dataclasses.is_dataclass(schema):
        return {}
    fields = dataclasses.fields(schema)
    return {f.name: f.metadata[RANGE] for f in fields if RANGE in f.metadata}


def _is_number(value: Any) -> bool:
    # Python takes True for 1.
    return isinstance(value, int | float) and not isinstance(value, bool)
