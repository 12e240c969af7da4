"""A pre-norm Transformer encoder with rotary positions and optional convolutions."""

import torch
from torch import nn

from aio_toolkit.encoders.base import EncoderConfig
from aio_toolkit.encoders.layers import FeedForward, Mixer, SelfAttention


class TransformerEncoder(nn.Module):
    """Implements `encoders.base.Encoder`."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.width = config.width
        self.num_layers = config.num_layers
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        """Hidden states (B, T, D) of every block."""
        states = []
        for block in self.blocks:
            x_BTD = block(x_BTD, valid_BT)
            states.append(x_BTD)
        return states


class _Block(nn.Module):
    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.mixer = Mixer(config.width, SelfAttention(config.width, config.num_heads), config.conv_kernel)
        self.norm = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config.width, config.hidden)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        x_BTD = self.mixer(x_BTD, valid_BT)
        return x_BTD + self.feed_forward(self.norm(x_BTD))
