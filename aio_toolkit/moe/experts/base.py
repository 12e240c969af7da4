"""The contract of experts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from aio_toolkit.moe.base import Routing

# The layers of a block that experts may take the place of.
Place = Literal["feed_forward", "attention"]


class Experts(nn.Module, ABC):
    """E sub-networks, of which each token visits a few.

    Attributes:
        replaces: the layer of a block whose place they take.
        num_experts: experts E.

    >>> from aio_toolkit import parts
    >>> from aio_toolkit.config import Choice
    >>> experts = parts.build(Experts, Choice("feed_forward"), 8, 4)
    >>> expert_NK, active_NK = torch.tensor([[3], [0]]), torch.tensor([[True], [False]])
    >>> logit_NE = torch.zeros(2, 4)
    >>> routing = Routing(expert_NK, active_NK.float(), active_NK, logit_NE, logit_NE)
    >>> experts(torch.randn(1, 2, 8), torch.tensor([[True, False]]), routing).any(-1)
    tensor([[ True, False]])
    """

    replaces: ClassVar[Place]
    num_experts: int

    @dataclass
    class Config:
        """Options of the experts: none."""

    @abstractmethod
    def __init__(self, config: Any, width: int, num_experts: int):
        super().__init__()
        self.num_experts = num_experts

    @abstractmethod
    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, routing: Routing
    ) -> torch.Tensor:
        """Weighted sum (B, T, D) of the outputs of each frame's experts; zero on padding."""

    @abstractmethod
    def expert_parameters(self) -> list[str]:
        """Names of the parameters with a leading axis of experts, of which a token uses a share."""

    @classmethod
    def dense_twin(cls, config: Any, width: int) -> nn.Module | None:
        """The plain layer that a single expert amounts to, which needs no router; None: none."""
        return None

    def keep(self, experts: list[int]) -> None:
        """Throw the other experts away; the kept ones are renumbered in the given order."""
        self.num_experts = len(experts)
        for name in self.expert_parameters():
            # A new parameter: the gradient and optimizer state of the old have another shape.
            kept = getattr(self, name).data[experts]
            setattr(self, name, nn.Parameter(kept))
