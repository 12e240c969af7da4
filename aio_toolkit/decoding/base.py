"""The contract of a decoder: frames of one task in, answers out.

It reads no files and no references, so that it serves whoever has a model and a recording.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from aio_toolkit.heads.base import Frames


class Decoder(ABC):
    """Turns the frames of a head's tasks into answers.

    A decoder is made as `Decoder(config, head, units)`: its options, the trained head of its kind
    of answer, and the units of that kind.

    >>> from aio_toolkit import parts
    >>> parts.find(Decoder, "audio").__name__
    'AudioDecoder'
    """

    @dataclass
    class Config:
        """Options of the decoder: none."""

    @abstractmethod
    def __init__(self, config: Any, head: Any, units: Any):
        super().__init__()

    @abstractmethod
    def decode(self, frames: Frames) -> list[Any]:
        """One answer a row, as `AnswerKind.write` takes it; no row depends on another."""
