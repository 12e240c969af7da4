"""Experts visited evenly (Switch Transformer, Fedus et al. 2022), and logits that stay small."""

from dataclasses import dataclass
from typing import override

import torch

from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.ranges import bounded


class Switch(Balance):
    """The loss of Switch Transformer with the z-loss of ST-MoE (Zoph et al. 2022).

    >>> one_expert_GE = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    >>> square_G = torch.tensor([0.5])
    >>> one_token = torch.ones(1)
    >>> table = RoutingTable(one_token, *[one_expert_GE] * 4, square_G)
    >>> Switch(Switch.Config(z_weight=0.1)).loss(table)
    tensor(4.0500)
    """

    @dataclass
    class Config(Balance.Config):
        """How much of each.

        Attributes:
            z_weight: weight of the z-loss within the loss.
        """

        z_weight: float = bounded(0.1, least=0)

    @override
    def loss(self, table: RoutingTable) -> torch.Tensor:
        """Both losses together."""
        z = z_loss(table)
        return switch_loss(table) + self.config.z_weight * z


def switch_loss(table: RoutingTable) -> torch.Tensor:
    """E times the sum over experts of share of visits times mean probability (Fedus et al., Eq. 4).

    It is 1 when experts are used evenly and E when one expert gets everything.
    """
    num_experts = table.count_GE.shape[1]
    visits = table.count_GE.sum().clamp_min(1)
    # Counts have no gradient: the loss lowers the probability of experts that are visited most.
    share_E = table.count_GE.sum(0) / visits
    tokens = table.tokens_G.sum().clamp_min(1)
    probability_E = table.probability_GE.sum(0) / tokens
    return num_experts * (share_E * probability_E).sum()


def z_loss(table: RoutingTable) -> torch.Tensor:
    """Mean squared log-sum-exp of the logits (Zoph et al. 2022, Eq. 5)."""
    tokens = table.tokens_G.sum().clamp_min(1)
    return table.square_G.sum() / tokens
