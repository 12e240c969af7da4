"""The contract of a balance: what keeps experts in use."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.routers.base import Router
from aio_toolkit.ranges import bounded


class Balance(ABC):
    """A loss on routing tables, a correction of routers after each step, or both.

    It looks at the tokens of all tasks together: an expert that one task alone visits is no fault.

    Attributes:
        reads: columns of the table that are filled for this balance alone: `importance`,
            `expected`.

    >>> from aio_toolkit import parts
    >>> from aio_toolkit.config import Choice
    >>> balance = parts.build(Balance, Choice("switch"))
    >>> even_GE, zero_GE = torch.full((1, 4), 5.0), torch.zeros(1, 4)
    >>> tokens_G, square_G = torch.tensor([20.0]), torch.zeros(1)
    >>> table = RoutingTable(tokens_G, even_GE, even_GE, zero_GE, zero_GE, square_G)
    >>> balance.config.weight * balance.loss(table)
    tensor(0.0100)
    """

    reads: ClassVar[frozenset[str]] = frozenset()

    @dataclass
    class Config:
        """Options of a balance; kinds add to it.

        Attributes:
            weight: weight of the loss, summed over layers.
        """

        weight: float = bounded(0.01, least=0)

    def __init__(self, config: Any):
        self.config = config

    @abstractmethod
    def loss(self, table: RoutingTable) -> torch.Tensor:
        """Scalar loss of one MoE layer, before its weight."""

    def after_step(self, router: Router, table: RoutingTable) -> None:
        """Correct a router by what the last optimizer step routed where; by default, not at all."""
