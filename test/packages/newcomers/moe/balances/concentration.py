"""A price on experts that are given more weight than others."""

from dataclasses import dataclass
from typing import ClassVar, override

import torch

from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable


class Concentration(Balance):
    """The sum of a power of the experts' shares of all weight."""

    reads: ClassVar[frozenset[str]] = frozenset({"importance"})

    @dataclass
    class Config(Balance.Config):
        """Options.

        Attributes:
            power: the higher, the more the largest share counts.
        """

        power: float = 2.0

    @override
    def loss(self, table: RoutingTable) -> torch.Tensor:
        importance_E = table.importance_GE.sum(0)
        share_E = importance_E / importance_E.sum().clamp_min(1e-6)
        return share_E.pow(self.config.power).sum()
