"""The contract of an output head: frames of one task in, a loss or a discrete sequence out.

Letters used in this folder: B batch, T frames, D model width, L tokens, Q codebooks, V vocabulary or codebook
size, N sources (targets of a task).
"""

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass
class HeadLoss:
    """What a head returns in training.

    Attributes:
        total: scalar to be minimised.
        figures: detached scalars to log, by name.
    """

    total: torch.Tensor
    figures: dict[str, torch.Tensor]


class Head(Protocol):
    """Turns the backbone's frames into the answer of a task."""

    def loss(self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, target: torch.Tensor, task: str) -> HeadLoss:
        """Loss of `task` on frames `h_BTD`; targets are padded with -1."""
        ...
