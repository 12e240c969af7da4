"""The energy of a frame, in steps."""

from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F

from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.base import FrontEnd


class Energy(FrontEnd):
    """One bin for every piece of a frame."""

    @dataclass
    class Config(FrontEnd.Config):
        """Options.

        Attributes:
            pieces: pieces of a frame.
        """

        pieces: int = 4

    def __init__(self, config: Config, grid: FrameGrid):
        super().__init__(config, grid)
        self.num_features = config.pieces

    @override
    def features(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        padded_BS = F.pad(wave_BS, (0, -wave_BS.shape[1] % self.grid.hop))
        pieces_BTPS = padded_BS.unflatten(1, (-1, self.num_features, self.grid.hop // 4))
        return pieces_BTPS.square().mean(-1).add(1e-6).log()
