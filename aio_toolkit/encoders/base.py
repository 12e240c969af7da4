"""The contract of an encoder: frames in, one tensor of frames per layer out.

Letters used in this folder: B batch, T frames, F feature bins, D model width, H attention heads.
"""

from typing import Protocol

import torch


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
