"""From normalised features to the encoder's width."""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.encoders.layers import depthwise_conv
from aio_toolkit.errors import AioError


class Stem(nn.Module):
    """A linear layer; with `kernel` > 1 a residual depthwise convolution over so many frames after it."""

    def __init__(self, num_features: int, width: int, kernel: int):
        super().__init__()
        if kernel % 2 == 0:
            raise AioError(f"encoder.stem_kernel is odd, not {kernel}; 1 is a linear layer.")
        self.linear = nn.Linear(num_features, width)
        self.depthwise_KD = nn.Parameter(torch.randn(kernel, width) * kernel**-0.5) if kernel > 1 else None
        self.out = nn.Linear(width, width) if kernel > 1 else None

    def forward(self, x_BTF: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D); padding does not leak into real frames."""
        x_BTD = self.linear(x_BTF)
        if self.depthwise_KD is None:
            return x_BTD
        return x_BTD + self.out(F.gelu(depthwise_conv(x_BTD * valid_BT[..., None], self.depthwise_KD)))
