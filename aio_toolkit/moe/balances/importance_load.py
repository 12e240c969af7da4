"""Experts used evenly, by weight and by visits (Shazeer et al. 2017; M3ViT, Liang et al. 2022)."""

from typing import ClassVar, override

import torch

from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable


class ImportanceLoad(Balance):
    """Penalises experts that are weighed or visited more than others.

    >>> zero_GE, zero_G = torch.zeros(1, 2), torch.zeros(1)
    >>> importance_GE, expected_GE = torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 2.0]])
    >>> table = RoutingTable(torch.ones(1), zero_GE, zero_GE, importance_GE, expected_GE, zero_G)
    >>> ImportanceLoad(ImportanceLoad.Config()).loss(table)
    tensor(0.2500)
    """

    reads: ClassVar[frozenset[str]] = frozenset({"importance", "expected"})

    @override
    def loss(self, table: RoutingTable) -> torch.Tensor:
        """Squared coefficients of variation of importance and expected load (Eq. 7 and 11)."""
        of_importance = _squared_variation(table.importance_GE.sum(0))
        of_load = _squared_variation(table.expected_GE.sum(0))
        return of_importance + of_load


def _squared_variation(x_E: torch.Tensor) -> torch.Tensor:
    # The mean is zero where a layer saw no token.
    squared_mean = x_E.mean().square().clamp_min(1e-10)
    return x_E.var(unbiased=False) / squared_mean
