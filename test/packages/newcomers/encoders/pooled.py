"""Layers that know of other frames only their mean."""

from dataclasses import dataclass
from typing import override

import torch
from torch import nn

from aio_toolkit.encoders.base import Encoder


class PooledEncoder(Encoder):
    """Each layer adds a projection of each frame and of the mean of all."""

    @dataclass
    class Config(Encoder.Config):
        """Options.

        Attributes:
            share: weight of the mean.
        """

        share: float = 0.5

    def __init__(self, config: Config):
        super().__init__(config)
        self.width, self.num_layers, self.share = config.width, config.num_layers, config.share
        layers = [nn.Linear(config.width, config.width) for _ in range(config.num_layers)]
        self.layers = nn.ModuleList(layers)

    @override
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        valid_BT1 = valid_BT[..., None]
        states = []
        for layer in self.layers:
            sum_B1D = (x_BTD * valid_BT1).sum(1, keepdim=True)
            mean_B1D = sum_B1D / valid_BT1.sum(1, keepdim=True)
            x_BTD = x_BTD + layer(x_BTD + self.share * mean_B1D).tanh()
            states.append(x_BTD)
        return states
