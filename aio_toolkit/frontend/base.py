"""The contract of a front end: waves in, frames out.

Letters used in this folder: B batch, S samples, T frames, K sub-frames, F feature bins.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aio_toolkit.frames import FrameGrid
from aio_toolkit.ranges import bounded


class FrontEnd(nn.Module, ABC):
    """Features of waves on the grid of frames, computed on the model's device.

    A front end is made as `FrontEnd(config, grid)`. Nothing of it is trained.

    Attributes:
        num_features: feature bins F.

    >>> class Energy(FrontEnd):
    ...     num_features = 1
    ...
    ...     def __init__(self, config: FrontEnd.Config, grid: FrameGrid):
    ...         super().__init__(config, grid)
    ...         self.hop = grid.hop
    ...
    ...     def features(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
    ...         frames_BTS = nn.functional.pad(wave_BS, (0, -wave_BS.shape[1] % self.hop))
    ...         return frames_BTS.unflatten(1, (-1, self.hop)).square().mean(-1, keepdim=True)
    >>> energy = Energy(FrontEnd.Config(), FrameGrid(16000, 320))
    >>> energy(torch.ones(2, 640), torch.tensor([640, 300]))[..., 0]
    tensor([[1., 1.],
            [1., 0.]])
    """

    num_features: int

    @dataclass
    class Config:
        """Options of a front end; kinds add to them.

        Attributes:
            scale: standard deviation that its features are brought to over the training data. Of
                front ends side by side, a smaller one has less to say.
        """

        scale: float = bounded(1.0, above=0)

    @abstractmethod
    def __init__(self, config: Any, grid: FrameGrid):
        super().__init__()
        self.grid = grid

    @abstractmethod
    def features(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        """Features (B, T, F), T = ceil(S / hop); those of padding may be anything.

        A row's real frames do not depend on the padding or on other rows.

        Args:
            wave_BS: float32 waves, zero on padding.
            samples_B: real samples of each row.
        """

    @torch.no_grad()
    def forward(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        """Features (B, T, F) in float32, zero on padding."""
        # Logarithms and small differences do not survive bfloat16.
        with torch.autocast(wave_BS.device.type, enabled=False):
            features_BTF = self.features(wave_BS.float(), samples_B)
        T = features_BTF.shape[1]
        frames_B = -(-samples_B // self.grid.hop)
        valid_BT = torch.arange(T, device=wave_BS.device) < frames_B[:, None]
        return features_BTF.masked_fill(~valid_BT[..., None], 0.0)
