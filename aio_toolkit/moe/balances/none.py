"""No balance: the control."""

from typing import override

import torch

from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable


class NoBalance(Balance):
    """Leaves the router to the losses of the tasks.

    >>> zero_GE, zero_G = torch.zeros(1, 3), torch.zeros(1)
    >>> table = RoutingTable(zero_G, zero_GE, zero_GE, zero_GE, zero_GE, zero_G)
    >>> NoBalance(NoBalance.Config()).loss(table)
    tensor(0.)
    """

    @override
    def loss(self, table: RoutingTable) -> torch.Tensor:
        """Zero."""
        # A constant: added to another loss, it changes neither value nor gradient.
        return table.probability_GE.new_zeros(())
