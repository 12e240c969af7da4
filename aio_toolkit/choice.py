"""Fields of a configuration that hold parts, which are found by name (see `aio_toolkit.parts`)."""

import functools
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Choice:
    """A part by its name.

    Attributes:
        kind: its name.
        options: an instance of its `Config`; None stands for its defaults.

    >>> Choice("transformer")
    Choice(kind='transformer', options=None)
    """

    kind: str
    options: Any = None


def one_of(folder: str, default: str) -> Any:
    """A field that holds the choice of one part of a folder.

    >>> from aio_toolkit.config import load_config
    >>> @dataclass
    ... class Config:
    ...     encoder: Choice = one_of("encoders", "transformer")
    >>> load_config(Config, None, ["encoder.kind=conformer"]).encoder.kind
    'conformer'
    """
    # A new one for each instance: a default that all shared could be changed through any of them.
    factory = functools.partial(Choice, default)
    metadata = {"one_of": folder}
    return field(default_factory=factory, metadata=metadata)


def each_of(folder: str, nested: str = "Config") -> Any:
    """A field that holds the options of every part of a folder, by the part's name.

    >>> from aio_toolkit.config import load_config
    >>> @dataclass
    ... class Config:
    ...     decoders: dict = each_of("decoding")
    >>> load_config(Config, None).decoders["text"].beam_size
    5
    """
    # Empty by default: only whoever reads a configuration asks which parts there are.
    metadata = {"each_of": folder, "nested": nested}
    return field(default_factory=dict, metadata=metadata)


def map_of(folder: str) -> Any:
    """A field that holds choices of parts of a folder under names that the user gives.

    >>> from aio_toolkit.config import load_config
    >>> @dataclass
    ... class Config:
    ...     mixing: dict = map_of("data/mixing")
    >>> config = load_config(Config, None, ["mixing.sep={kind: speakers, speakers: {level_db: 2}}"])
    >>> config.mixing["sep"].options.level_db
    2.0
    """
    return field(default_factory=dict, metadata={"map_of": folder})
