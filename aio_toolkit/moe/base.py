"""The records inside a Mixture of Experts.

Letters used in this folder: B batch, T frames, N tokens (the B * T frames laid flat), D model
width, H inner width of one expert, E experts, K most experts per token, G tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass
class Routing:
    """Where each token goes.

    Attributes:
        expert_NK: indices of the chosen experts, int64.
        weight_NK: float32 weights of their outputs, differentiable; zero where `active_NK` is
            False.
        active_NK: which choices count: none of padding, and not all where tokens visit different
            numbers of experts.
        logit_NE: float32 logits of the gate before noise, differentiable.
        noisy_NE: the logits that the choice was made by.
        noise: standard deviation of the noise in them.

    Two tokens, three experts, top-1:

    >>> logit_NE = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    >>> weight_NK, expert_NK = logit_NE.softmax(-1).topk(1)
    >>> active_NK = torch.ones_like(expert_NK, dtype=torch.bool)
    >>> Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE).expert_NK.tolist()
    [[1], [0]]
    """

    expert_NK: torch.Tensor
    weight_NK: torch.Tensor
    active_NK: torch.Tensor
    logit_NE: torch.Tensor
    noisy_NE: torch.Tensor
    noise: float = 0.0


@dataclass
class RoutingTable:
    """What one MoE layer did with a batch, task by task.

    All are sums over tokens, so the tables of parts of a batch add up to that of the whole.

    Attributes:
        tokens_G: tokens of each task.
        count_GE: how many of each task's tokens visited each expert; not differentiable.
        probability_GE: sum of the gate's distribution over all experts, differentiable.
        importance_GE: sum of the weights given to each expert (Shazeer et al. 2017, Eq. 6),
            differentiable; zero unless the balance `reads` it.
        expected_GE: `count_GE` as expected under the noise (Shazeer et al. 2017, Eq. 8-10),
            differentiable; zero unless the balance `reads` it.
        square_G: sum of the squared log-sum-exp of the logits (the z-loss of ST-MoE, Zoph et al.
            2022, Eq. 5), differentiable.

    >>> count_GE = torch.tensor([[3.0, 1.0]])
    >>> zero_GE = torch.zeros(1, 2)
    >>> table = RoutingTable(torch.ones(1), count_GE, zero_GE, zero_GE, zero_GE, torch.zeros(1))
    >>> (table + table).count_GE
    tensor([[6., 2.]])
    >>> table.load_GE()
    tensor([[0.7500, 0.2500]])
    """

    tokens_G: torch.Tensor
    count_GE: torch.Tensor
    probability_GE: torch.Tensor
    importance_GE: torch.Tensor
    expected_GE: torch.Tensor
    square_G: torch.Tensor

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "RoutingTable":
        """The table with `function` applied to every tensor."""
        columns = vars(self).items()
        mapped = {name: function(column) for name, column in columns}
        return RoutingTable(**mapped)

    def __add__(self, other: "RoutingTable") -> "RoutingTable":
        columns = vars(self).items()
        added = {name: column + getattr(other, name) for name, column in columns}
        return RoutingTable(**added)

    def detach(self) -> "RoutingTable":
        """The same numbers without history."""
        return self.map(torch.Tensor.detach)

    def load_GE(self) -> torch.Tensor:
        """Share of each task's visits that each expert got; rows of absent tasks are zero."""
        visits_G1 = self.count_GE.sum(1, keepdim=True)
        # An absent task has no visits to divide by.
        return self.count_GE / visits_G1.clamp_min(1)


# Routing tables of the MoE layers of a model, by the layer's name.
Tables = dict[str, RoutingTable]
