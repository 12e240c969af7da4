"""The contract of a self-supervised objective.

Letters used in this folder: B batch, T frames, D model width, Q codebooks, V codebook size.
"""

from typing import Protocol

import torch


class Objective(Protocol):
    """Hides part of the input and scores how well the encoder's output explains it."""

    def corrupt(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's input with spans hidden, and the mask (B, T) that is True where hidden."""
        ...

    def loss(
        self, h_BTD: torch.Tensor, hidden_BT: torch.Tensor, codes_BTQ: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the scalar loss and figures to log, from the encoder's last layer."""
        ...
