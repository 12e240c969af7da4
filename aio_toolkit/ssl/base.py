"""The contract of a self-supervised objective.

Letters used in this folder: B batch, T frames, M hidden frames, F feature bins, D model width, Q codebooks, V codebook
size.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn


@dataclass
class MaskedBatch:
    """What an objective scores.

    Attributes:
        features_BTF: normalised features of the input, nothing hidden.
        codes_BTQ: the codec's codes of the input, -1 on padding.
        valid_BT: which frames are real.
        hidden_BT: which of them the encoder did not see.
        states: hidden states (B, T, D) of every layer, from the input with those frames hidden.
    """

    features_BTF: torch.Tensor
    codes_BTQ: torch.Tensor
    valid_BT: torch.Tensor
    hidden_BT: torch.Tensor
    states: list[torch.Tensor]


class Objective(Protocol):
    """Scores how well the encoder's output explains the frames that were hidden from it."""

    def loss(self, batch: MaskedBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the scalar loss and figures to log."""
        ...

    def after_step(self, encoder: nn.Module) -> None:
        """Follow the encoder after an optimiser step; only objectives with a teacher do anything."""
        ...
