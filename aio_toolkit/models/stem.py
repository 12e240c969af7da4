"""From normalised features to the encoder's width.

Letters: B batch, T frames, F feature bins, D width, K frames that the convolution sees.
"""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.layers import depthwise_conv


class Stem(nn.Module):
    """A linear layer; with `kernel` > 1 a residual depthwise convolution after it.

    >>> stem = Stem(num_features=6, width=8, kernel=3)
    >>> stem(torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, num_features: int, width: int, kernel: int):
        """Make the layers.

        Args:
            num_features: feature bins F.
            width: channels D of the encoder.
            kernel: frames that the convolution sees, odd; 1 leaves it out.
        """
        super().__init__()
        self.linear = nn.Linear(num_features, width)
        self.depthwise_KD: nn.Parameter | None = None
        self.out: nn.Linear | None = None
        if kernel > 1:
            # The sum over K frames starts with the variance of one.
            weight_KD = torch.randn(kernel, width) * kernel**-0.5
            self.depthwise_KD = nn.Parameter(weight_KD)
            self.out = nn.Linear(width, width)

    def forward(self, x_BTF: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D); padding does not leak into real frames."""
        return self.convolve(self.linear(x_BTF), valid_BT)

    def convolve(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """What comes after the linear layer; frames to be masked are replaced before it."""
        if self.depthwise_KD is None or self.out is None:
            return x_BTD
        # Padding is not zero here: the linear layer has added its bias.
        real_BTD = x_BTD * valid_BT[..., None]
        neighbours_BTD = depthwise_conv(real_BTD, self.depthwise_KD)
        return x_BTD + self.out(F.gelu(neighbours_BTD))
