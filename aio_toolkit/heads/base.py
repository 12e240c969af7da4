"""The contract of an output head: frames of one task in, a loss or a discrete sequence out.

A head is a module with `loss(h_BTD, lengths_B, target, task, ...) -> HeadLoss`, whose targets are padded with -1, and
one method per way of decoding; the codes head is given the input's codec latents besides.

Letters used in this folder: B batch, T frames, D model width, L tokens, Q codebooks, V vocabulary or codebook
size, N sources (targets of a task).
"""

from dataclasses import dataclass

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
