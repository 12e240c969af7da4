"""The contract of an encoder: frames in, one tensor of frames per layer out.

Letters used in this folder: B batch, T frames, D width.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from aio_toolkit.ranges import bounded


class Encoder(nn.Module, ABC):
    """Maps a padded batch of frames to the states of all its layers.

    Attributes:
        width: channels D of every layer.
        num_layers: number of layers.

    >>> class Idle(Encoder):
    ...     def __init__(self, config: Encoder.Config):
    ...         super().__init__(config)
    ...         self.width, self.num_layers = config.width, config.num_layers
    ...
    ...     def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
    ...         return [x_BTD] * self.num_layers
    >>> encoder = Idle(Encoder.Config(width=8, num_layers=2))
    >>> len(encoder(torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)))
    2
    """

    width: int
    num_layers: int

    @dataclass
    class Config:
        """Size of an encoder; kinds add to it.

        Attributes:
            width: channels D of every layer.
            num_layers: blocks.
        """

        width: int = bounded(192, least=1)
        num_layers: int = bounded(3, least=1)

    @abstractmethod
    def __init__(self, config: Config):
        super().__init__()

    @abstractmethod
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        """Encode a batch.

        Args:
            x_BTD: input frames, already projected to the encoder's width.
            valid_BT: True on frames that carry signal, False on padding.

        Returns:
            `num_layers` tensors of shape (B, T, D), the last layer last. A row's real frames do not
            depend on the padding or on other rows.
        """
