"""The contract of a router."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aio_toolkit.moe.base import Routing


@dataclass(frozen=True)
class RouterSizes:
    """What a router has to fit.

    Attributes:
        width: channels D of a token.
        num_tasks: tasks G.
        num_experts: experts E.
        top_k: most experts that a token visits.
    """

    width: int
    num_tasks: int
    num_experts: int
    top_k: int


class Router(nn.Module, ABC):
    """Chooses experts for each token.

    Attributes:
        num_experts: experts E.
        top_k: most experts that a token visits.
        bias_E: what a balance may add to an expert's score where experts are chosen, never where
            they are weighed (Wang et al. 2024, auxiliary-loss-free balancing).

    >>> from aio_toolkit import parts
    >>> from aio_toolkit.config import Choice
    >>> sizes = RouterSizes(width=8, num_tasks=2, num_experts=4, top_k=3)
    >>> router = parts.build(Router, Choice("per_task"), sizes)
    >>> x_BTD, valid_BT = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    >>> router(x_BTD, valid_BT, torch.tensor([0, 1])).expert_NK.shape
    torch.Size([10, 3])
    """

    bias_E: torch.Tensor

    @dataclass
    class Config:
        """Options of the router: none."""

    @abstractmethod
    def __init__(self, config: Any, sizes: RouterSizes):
        super().__init__()
        self.num_experts = sizes.num_experts
        self.top_k = sizes.top_k
        # A buffer: it is saved with the weights, and no optimizer moves it.
        self.register_buffer("bias_E", torch.zeros(sizes.num_experts))

    @abstractmethod
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor) -> Routing:
        """Route the frames of a padded batch, laid flat; those of padding go nowhere.

        Args:
            x_BTD: frames.
            valid_BT: which frames are real.
            task_B: index of each row's task.
        """

    @abstractmethod
    def add_task(self) -> list[nn.Parameter]:
        """Make room for one more task, the last; return the parameters that are its alone."""

    @abstractmethod
    def keep(self, task: int, experts: list[int]) -> None:
        """Throw away all but one task and the given experts, which are renumbered in that order.

        Whoever overrides it calls this method too.
        """
        self.num_experts = len(experts)
        self.bias_E = self.bias_E[experts]
        # Where fewer experts are left than a token visits, it visits them all.
        self.top_k = min(self.top_k, len(experts))

    @property
    def survives_cut(self) -> bool:
        """Whether tokens that visit only kept experts are routed as before once others are gone."""
        # Safe unless a router knows better: extraction then refuses instead of being inexact.
        return False
