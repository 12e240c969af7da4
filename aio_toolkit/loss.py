"""What everything that is trained returns: a scalar to minimise and figures to log."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch


@dataclass
class Loss:
    """The loss of a batch.

    Attributes:
        total: scalar to be minimised.
        figures: detached scalars to log, by name.
        rows_B: detached loss of each row, from which dev losses get their standard error; None
            where rows have no loss of their own.

    >>> Loss(torch.tensor(2.0)).figures
    {}
    """

    total: torch.Tensor
    figures: dict[str, torch.Tensor] = field(default_factory=dict)
    rows_B: torch.Tensor | None = None


def weighted_sum(terms: Iterable[tuple[float, Loss]]) -> Loss:
    """One loss of several, one at least, each by its weight; figures are joined without weights.

    Rows have a loss of their own if they have one in every term.

    >>> ctc = Loss(torch.tensor(3.0), {"ctc": torch.tensor(3.0)}, torch.tensor([2.0, 4.0]))
    >>> attention = Loss(torch.tensor(1.0), rows_B=torch.tensor([1.0, 1.0]))
    >>> loss = weighted_sum([(0.5, ctc), (2.0, attention)])
    >>> loss.total, list(loss.figures), loss.rows_B
    (tensor(3.5000), ['ctc'], tensor([3., 4.]))
    """
    terms = list(terms)
    totals: list[torch.Tensor] = []
    rows: list[torch.Tensor] = []
    figures: dict[str, torch.Tensor] = {}
    for weight, loss in terms:
        totals.append(weight * loss.total)
        figures |= loss.figures
        if loss.rows_B is not None:
            rows.append(weight * loss.rows_B)

    # A sum of some of the terms would be the loss of nothing.
    rows_B = _sum(rows) if len(rows) == len(terms) else None
    return Loss(_sum(totals), figures, rows_B)


def _sum(tensors: list[torch.Tensor]) -> torch.Tensor:
    first, *others = tensors
    return sum(others, start=first)
