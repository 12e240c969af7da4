"""Experts that specialise: information between tasks and experts (Mod-Squad, Chen et al. 2023)."""

from typing import override

import torch

from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable


class MutualInformation(Balance):
    """Rewards experts that serve few tasks each, as long as all are used.

    >>> own_expert_GE = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> zero_GE, zero_G = torch.zeros(2, 2), torch.zeros(2)
    >>> table = RoutingTable(torch.ones(2), zero_GE, own_expert_GE, zero_GE, zero_GE, zero_G)
    >>> MutualInformation(MutualInformation.Config()).loss(table)
    tensor(-0.6931)
    """

    @override
    def loss(self, table: RoutingTable) -> torch.Tensor:
        """Minus the mutual information in nats."""
        return -mutual_information(table)


def mutual_information(table: RoutingTable) -> torch.Tensor:
    """Mutual information I(task; expert) in nats (Mod-Squad, Eq. 4-5), tasks equally likely.

    It is high when each task uses few experts while all experts are used by some task. It is zero,
    with zero gradient, where the table holds a single task: see `moe.pool`.

    >>> alike_GE, zero_GE, zero_G = torch.full((2, 4), 0.25), torch.zeros(2, 4), torch.zeros(2)
    >>> table = RoutingTable(torch.ones(2), zero_GE, alike_GE, zero_GE, zero_GE, zero_G)
    >>> mutual_information(table)
    tensor(0.)
    """
    # A task without tokens has no distribution, and takes no part.
    present_G = table.tokens_G > 0
    probability_GE = table.probability_GE[present_G]
    tokens_G1 = table.tokens_G[present_G, None]
    conditional_GE = probability_GE / tokens_G1
    joint_GE = conditional_GE / len(conditional_GE)
    marginal_E = joint_GE.sum(0)

    # Where an expert is never chosen, 0 * log 0 has to be 0, not NaN.
    tiny = torch.finfo(joint_GE.dtype).tiny
    log_conditional_GE = conditional_GE.clamp_min(tiny).log()
    log_marginal_E = marginal_E.clamp_min(tiny).log()
    log_ratio_GE = log_conditional_GE - log_marginal_E
    return (joint_GE * log_ratio_GE).sum()
