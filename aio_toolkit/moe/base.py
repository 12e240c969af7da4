"""The contracts inside a Mixture of Experts.

Letters used in this folder: N tokens (real frames only; padding never arrives here), D model width,
H hidden width of one expert, E experts, K experts per token, G tasks.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass
class Routing:
    """Where each token goes.

    Attributes:
        expert_NK: indices of the chosen experts, int64.
        weight_NK: float32 weights of their outputs, differentiable.
        probability_NE: float32 gate distribution over all experts, differentiable.
    """

    expert_NK: torch.Tensor
    weight_NK: torch.Tensor
    probability_NE: torch.Tensor


@dataclass
class RoutingTable:
    """What one MoE layer did with a batch, task by task; the input of balance losses and of routing plots.

    Attributes:
        probability_GE: mean gate distribution of each task's tokens, differentiable; zero rows for absent tasks.
        load_GE: share of each task's (token, choice) pairs sent to each expert; not differentiable.
        present_G: whether the batch holds any token of the task.
    """

    probability_GE: torch.Tensor
    load_GE: torch.Tensor
    present_G: torch.Tensor


class Router(Protocol):
    """Chooses K experts for each token."""

    def __call__(self, x_ND: torch.Tensor, task_N: torch.Tensor) -> Routing:
        """Route tokens `x_ND` that belong to the tasks with indices `task_N`."""
        ...


class Balance(Protocol):
    """A loss that keeps experts in use. Exactly one is active."""

    def __call__(self, table: RoutingTable) -> torch.Tensor:
        """Scalar loss of one MoE layer."""
        ...
