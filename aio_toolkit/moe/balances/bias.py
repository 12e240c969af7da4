"""Experts that are visited evenly without any loss (Wang et al. 2024)."""

from dataclasses import dataclass
from typing import override

import torch

from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.routers.base import Router
from aio_toolkit.ranges import bounded


class Bias(Balance):
    """Moves a bias on the choice of experts after every optimizer step; gradients are left alone.

    >>> from aio_toolkit.moe.routers.shared import SharedRouter
    >>> from aio_toolkit.moe.routers.base import RouterSizes
    >>> router = SharedRouter(SharedRouter.Config(), RouterSizes(8, 1, 3, 2))
    >>> count_GE = torch.tensor([[5.0, 1.0, 0.0]])
    >>> table = RoutingTable(torch.tensor([6.0]), *[count_GE] * 4, torch.zeros(1))
    >>> Bias(Bias.Config(rate=0.5)).after_step(router, table)
    >>> router.bias_E
    tensor([-0.5000,  0.5000,  0.5000])
    """

    @dataclass
    class Config(Balance.Config):
        """How fast the bias moves.

        Attributes:
            rate: what an expert's bias gains or loses in a step, in units of probability.
        """

        rate: float = bounded(1e-3, least=0)

    @override
    def loss(self, table: RoutingTable) -> torch.Tensor:
        """Zero."""
        # A constant: added to another loss, it changes neither value nor gradient.
        return table.probability_GE.new_zeros(())

    @override
    @torch.no_grad()
    def after_step(self, router: Router, table: RoutingTable) -> None:
        """Raise the bias of experts below the mean load, lower that of those above (Alg. 1)."""
        count_E = table.count_GE.sum(0)
        missing_E = count_E.mean() - count_E
        # The sign alone: counts grow with the batch, and steps shall not.
        router.bias_E += self.config.rate * missing_E.sign()
