"""The contract of a path: a way from the frames of sources to the codes of a codec.

Besides the letters of `heads.base`: D' width of a source's frames.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.layers import row_numbers, valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded


@dataclass
class SourceFrames:
    """The frames of every source of every row, and the mixtures that they are parts of.

    Attributes:
        g_BNTD: frames of each source.
        lengths_B: real frames of each row.
        wave_BS: the mixture, zero on padding.
        samples_B: its real samples.
        features: features (B, T, F) of the mixture by the name of the front end.
        made: what paths have made of these frames, for those that need it twice.

    >>> wave_BS, samples_B = torch.zeros(2, 1600), torch.tensor([1600, 900])
    >>> sources = SourceFrames(torch.zeros(2, 3, 5, 8), torch.tensor([5, 3]), wave_BS, samples_B)
    >>> sources.num_sources, sources.row(1).g_BNTD.shape, sources.row(1).wave_BS.shape
    (3, torch.Size([1, 3, 3, 8]), torch.Size([1, 900]))
    """

    g_BNTD: torch.Tensor
    lengths_B: torch.Tensor
    wave_BS: torch.Tensor
    samples_B: torch.Tensor
    features: Mapping[str, torch.Tensor] = field(default_factory=dict)
    # Not of copies with other waves or frames.
    made: dict["CodePath", torch.Tensor] = field(default_factory=dict, init=False)

    @property
    def num_sources(self) -> int:
        """Sources N."""
        return self.g_BNTD.shape[1]

    @property
    def valid_BT(self) -> torch.Tensor:
        """Which frames are real."""
        return valid_frames(self.lengths_B, self.g_BNTD.shape[2])

    def of_front_end(self, kind: str) -> torch.Tensor:
        """Features (B, T, F) of a front end, zero on padding."""
        return self.features[kind]

    def select(self, rows: torch.Tensor) -> "SourceFrames":
        """Some rows, with their padding."""
        features = {kind: of_kind[rows] for kind, of_kind in self.features.items()}
        return SourceFrames(
            self.g_BNTD[rows],
            self.lengths_B[rows],
            self.wave_BS[rows],
            self.samples_B[rows],
            features,
        )

    def row(self, number: int) -> "SourceFrames":
        """One row without its padding, so that nothing depends on the others."""
        frames, samples = int(self.lengths_B[number]), int(self.samples_B[number])
        one = slice(number, number + 1)
        features = {kind: of_kind[one, :frames] for kind, of_kind in self.features.items()}
        return SourceFrames(
            self.g_BNTD[one, :, :frames],
            self.lengths_B[one],
            self.wave_BS[one, :samples],
            self.samples_B[one],
            features,
        )


@dataclass
class References:
    """What the sources of every row truly are, the residual included.

    Attributes:
        wave_BNS: waves, zero on padding; a source that the mixture does not have is silent.
        codes_BNTQ: codes; None where the path does not learn from them.
    """

    wave_BNS: torch.Tensor
    codes_BNTQ: torch.Tensor | None = None

    def select(self, rows: torch.Tensor) -> "References":
        """Some rows."""
        return self._map(lambda of_rows: of_rows[rows])

    def reorder(self, order_BN: torch.Tensor) -> "References":
        """Source `order_BN[b, n]` of row b in place n."""
        row_B1 = row_numbers(order_BN)
        return self._map(lambda of_rows: of_rows[row_B1, order_BN])

    def codes(self) -> torch.Tensor:
        """The codes, for paths that learn from them."""
        if self.codes_BNTQ is None:
            raise ValueError("a path that learns from codes has to say so: learns_from_codes")
        return self.codes_BNTQ

    def _map(self, change: Any) -> "References":
        codes_BNTQ = None if self.codes_BNTQ is None else change(self.codes_BNTQ)
        return References(change(self.wave_BNS), codes_BNTQ)


class CodePath(nn.Module, ABC):
    """One way from frames to codes. A path is made as `CodePath(config, width, units)`.

    Attributes:
        modes: the values of `audio.mode`, in decoding, that this path answers.
        learns_from_codes: whether it learns from codes, which mixtures made on the fly do not
            have, and not from waves.
        reads: the front ends that it needs among the features of the mixture.
        weight: weight of its loss.

    >>> from aio_toolkit import parts
    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> from aio_toolkit.config import Choice
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 4)
    >>> units = CodecUnits(codec, torch.randn(2, 16, 4), torch.zeros(2, dtype=torch.long))
    >>> path = parts.build(CodePath, Choice("mask"), 8, units)
    >>> waves = torch.randn(1, 1600), torch.tensor([1600])
    >>> sources = SourceFrames(torch.randn(1, 3, 5, 8), torch.tensor([5]), *waves)
    >>> references = References(torch.randn(1, 3, 1600))
    >>> path.costs(sources, references).shape
    torch.Size([1, 3, 3])
    """

    modes: ClassVar[tuple[str, ...]]
    learns_from_codes: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    weight: float

    @dataclass
    class Config:
        """Options of a path; kinds add to it.

        Attributes:
            weight: weight of its loss; 0 leaves the path out.
        """

        weight: float = bounded(0.0, least=0)

    @abstractmethod
    def __init__(self, config: Any, width: int, units: CodecUnits):
        super().__init__()
        self.weight = config.weight

    @abstractmethod
    def costs(self, sources: SourceFrames, references: References) -> torch.Tensor:
        """Cost (B, N, N) of every estimate (first) for every source (second), without gradient."""

    @abstractmethod
    def loss(self, sources: SourceFrames, references: References) -> Loss:
        """Loss against references that are in the order of the estimates."""

    @abstractmethod
    def outputs(
        self, sources: SourceFrames, codec: Codec | None, mode: str
    ) -> dict[str, torch.Tensor]:
        """Waves (B, N, S) of the sources, by the name of the output.

        `codec` are those of the codes, decoded; a path that makes waves before it makes codes
        gives them by a name of its own, and gives them alone where there is no codec.

        Args:
            sources: rows without padding.
            codec: the codec of the units.
            mode: one of `modes`.
        """
