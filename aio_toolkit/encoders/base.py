"""The contract of an encoder: frames in, one tensor of frames per layer out.

Letters used in this folder: B batch, T frames, F feature bins, D model width, H attention heads.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass
class EncoderConfig:
    """Kind and size of an encoder.

    Attributes:
        kind: `transformer`, our own; `conformer` or `e_branchformer`, ESPnet's.
        width: channels D of every layer.
        num_layers: blocks.
        num_heads: attention heads; must divide `width`.
        hidden: width inside the feed-forward layers, and of E-Branchformer's convolutional branch.
        conv_kernel: frames seen by each block's depthwise convolution (odd); 0 leaves it out of the transformer.
        stem_kernel: frames seen by the convolution between features and blocks (odd); 1: a linear layer alone.
    """

    kind: str = "transformer"
    width: int = 192
    num_layers: int = 3
    num_heads: int = 4
    hidden: int = 768
    conv_kernel: int = 0
    stem_kernel: int = 1


class Encoder(Protocol):
    """Maps a padded batch of frames to the hidden states of all its layers."""

    width: int
    num_layers: int

    def __call__(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        """Encode a batch.

        Args:
            x_BTD: input frames, already projected to the encoder's width.
            valid_BT: True on frames that carry signal, False on padding.

        Returns:
            `num_layers` tensors of shape (B, T, D), the last layer last.
        """
        ...


def valid_frames(lengths_B: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Boolean mask (B, T), True on the first `lengths_B[b]` frames of row b."""
    return torch.arange(num_frames, device=lengths_B.device)[None, :] < lengths_B[:, None]
