"""What everything that is trained returns: a scalar to minimise and figures to log."""

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
    """

    total: torch.Tensor
    figures: dict[str, torch.Tensor] = field(default_factory=dict)
    rows_B: torch.Tensor | None = None
