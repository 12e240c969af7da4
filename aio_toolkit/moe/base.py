"""The contracts inside a Mixture of Experts.

Letters used in this folder: B batch, T frames, N tokens (the B * T frames laid flat), D model width,
H hidden width of one expert, E experts, K most experts per token, G tasks.
"""

from dataclasses import dataclass, fields
from typing import Protocol

import torch


@dataclass
class Routing:
    """Where each token goes.

    Attributes:
        expert_NK: indices of the chosen experts, int64.
        weight_NK: float32 weights of their outputs, differentiable; zero where `active_NK` is False.
        active_NK: which choices count: none of padding, and not all where tokens visit different numbers of experts.
        logit_NE: float32 logits of the gate before noise, differentiable.
        noisy_NE: the logits that the choice was made by.
        noise: standard deviation of the noise in them.
    """

    expert_NK: torch.Tensor
    weight_NK: torch.Tensor
    active_NK: torch.Tensor
    logit_NE: torch.Tensor
    noisy_NE: torch.Tensor
    noise: float = 0.0


@dataclass
class RoutingTable:
    """What one MoE layer did with a batch, task by task: sums over tokens, so tables of parts add up to the whole.

    Attributes:
        tokens_G: tokens of each task.
        count_GE: how many of each task's tokens visited each expert; not differentiable.
        probability_GE: sum of the gate's distribution over all experts, differentiable.
        importance_GE: sum of the weights given to each expert (Shazeer et al. 2017, Eq. 6), differentiable.
        expected_GE: `count_GE` as expected under the noise (Shazeer et al. 2017, Eq. 8-10), differentiable. This and
            the former are zero unless `importance_load` is the balance, which alone reads them.
        square_G: sum of the squared log-sum-exp of the logits (the z-loss of ST-MoE, Zoph et al. 2022, Eq. 5),
            differentiable.
    """

    tokens_G: torch.Tensor
    count_GE: torch.Tensor
    probability_GE: torch.Tensor
    importance_GE: torch.Tensor
    expected_GE: torch.Tensor
    square_G: torch.Tensor

    def map(self, function) -> "RoutingTable":
        """The table with `function` applied to every tensor."""
        return RoutingTable(**{field.name: function(getattr(self, field.name)) for field in fields(self)})

    def __add__(self, other: "RoutingTable") -> "RoutingTable":
        return RoutingTable(
            **{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        )

    def detach(self) -> "RoutingTable":
        """The same numbers without history."""
        return self.map(torch.Tensor.detach)

    def load_GE(self) -> torch.Tensor:
        """Share of each task's visits that each expert got; rows of absent tasks are zero."""
        return self.count_GE / self.count_GE.sum(1, keepdim=True).clamp_min(1)


# Routing tables of the MoE layers of a model, by the layer's name.
Tables = dict[str, RoutingTable]


class Router(Protocol):
    """Chooses experts for each token."""

    def __call__(self, x_BTD: torch.Tensor, task_B: torch.Tensor, valid_BT: torch.Tensor) -> Routing:
        """Route the frames of a padded batch, whose rows have tasks `task_B`; those of padding go nowhere."""
        ...


class Balance(Protocol):
    """A loss that keeps experts in use."""

    def __call__(self, table: RoutingTable) -> torch.Tensor:
        """Scalar loss of one MoE layer."""
        ...
