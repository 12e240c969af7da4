"""A pre-norm Transformer encoder with rotary positions and optional convolutions."""

from dataclasses import dataclass

import torch
from torch import nn

from aio_toolkit.encoders.base import Encoder
from aio_toolkit.layers import FeedForward, Mixer, SelfAttention
from aio_toolkit.ranges import bounded


class TransformerEncoder(Encoder):
    """Blocks of self-attention, convolution and feed-forward layers, no norm after the last.

    It is the encoder of Vaswani et al. (2017) with norms before the layers (Xiong et al. 2020),
    rotary positions (Su et al. 2021, RoFormer) and, if asked for, a gated convolution (after Gulati
    et al. 2020). A block has three steps, each around a residual connection:

    1. self-attention over all real frames, in both directions;
    2. where `conv_kernel` > 0, a depthwise convolution;
    3. a feed-forward layer.

    >>> sizes = TransformerEncoder.Config(width=8, num_layers=2, num_heads=2, ffn_width=16)
    >>> encoder = TransformerEncoder(sizes)
    >>> states = encoder(torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool))
    >>> [tuple(state_BTD.shape) for state_BTD in states]
    [(1, 5, 8), (1, 5, 8)]
    """

    @dataclass
    class Config(Encoder.Config):
        """Size of the encoder.

        Attributes:
            num_heads: attention heads; must divide `width`.
            ffn_width: width inside the feed-forward layers.
            conv_kernel: frames that each block's convolution sees, odd; 0 leaves it out.
        """

        num_heads: int = bounded(4, least=1, divides="width")
        ffn_width: int = bounded(768, least=1)
        conv_kernel: int = bounded(0, least=0, odd=True)

    def __init__(self, config: Config):
        """Make the blocks."""
        super().__init__(config)
        self.width = config.width
        self.num_layers = config.num_layers
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        """States (B, T, D) of every block."""
        states = []
        for block in self.blocks:
            x_BTD = block(x_BTD, valid_BT)
            states.append(x_BTD)
        return states


class _Block(nn.Module):
    def __init__(self, config: TransformerEncoder.Config):
        super().__init__()
        attention = SelfAttention(config.width, config.num_heads)
        self.mixer = Mixer(config.width, attention, config.conv_kernel)
        self.norm = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config.width, config.ffn_width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D) after attention, convolution and feed-forward layer."""
        x_BTD = self.mixer(x_BTD, valid_BT)
        normed_BTD = self.norm(x_BTD)
        return x_BTD + self.feed_forward(normed_BTD)
