"""The contract of a path: a way from the frames of sources to the codes of a codec.

Besides the letters of `heads.base`: D' width of a source's frames.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.loss import Loss


@dataclass
class SourceFrames:
    """The frames of every source of every row.

    Attributes:
        g_BNTD: frames of each source.
        mixture_BTC: codec latents of the input, zero on padding.
        valid_BT: which frames are real.

    >>> valid_BT = torch.ones(1, 5, dtype=torch.bool)
    >>> frames = SourceFrames(torch.zeros(1, 2, 5, 8), torch.zeros(1, 5, 4), valid_BT)
    >>> frames.num_sources
    2
    """

    g_BNTD: torch.Tensor
    mixture_BTC: torch.Tensor
    valid_BT: torch.Tensor

    @property
    def num_sources(self) -> int:
        """Sources N."""
        return self.g_BNTD.shape[1]


class CodePath(nn.Module, ABC):
    """One way from frames to codes. A path is made as `CodePath(config, width, units)`.

    Attributes:
        modes: the values of `audio.mode`, in decoding, that this path answers.
        weight: weight of its loss.

    >>> from aio_toolkit import parts
    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> from aio_toolkit.config import Choice
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 4)
    >>> units = CodecUnits(codec, torch.randn(2, 16, 4), torch.zeros(2, dtype=torch.long))
    >>> path = parts.build(CodePath, Choice("latent"), 8, units)
    >>> valid_BT = torch.ones(1, 5, dtype=torch.bool)
    >>> frames = SourceFrames(torch.randn(1, 3, 5, 8), torch.randn(1, 5, 4), valid_BT)
    >>> path.costs(frames, torch.randint(16, (1, 3, 5, 2))).shape
    torch.Size([1, 3, 3])
    """

    modes: ClassVar[tuple[str, ...]]
    weight: float

    @dataclass
    class Config:
        """Options of a path; kinds add to it.

        Attributes:
            weight: weight of its loss; 0 leaves the path out.
        """

        weight: float = 1.0

    @abstractmethod
    def __init__(self, config: Any, width: int, units: CodecUnits):
        super().__init__()
        self.weight = config.weight

    @abstractmethod
    def costs(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> torch.Tensor:
        """Cost (B, N, N) of every estimate (first) for every target (second), without gradient."""

    @abstractmethod
    def loss(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> Loss:
        """Loss against targets that are in the order of the estimates."""

    @abstractmethod
    def waves(self, frames: SourceFrames, codec: Codec, mode: str) -> torch.Tensor:
        """Waves (B, N, T * hop) of the sources, by one of `modes`."""
