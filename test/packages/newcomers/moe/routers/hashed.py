"""Routing without learning, after hash layers (Roller et al. 2021)."""

from dataclasses import dataclass
from typing import override

import torch
from torch import nn

from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.routers.base import Router, RouterSizes


class HashedRouter(Router):
    """Random directions, fixed for ever, say which experts a frame visits; all weigh the same."""

    @dataclass
    class Config:
        """Options.

        Attributes:
            scale: length of the random directions.
        """

        scale: float = 1.0

    def __init__(self, config: Config, sizes: RouterSizes):
        super().__init__(config, sizes)
        directions_DE = config.scale * torch.randn(sizes.width, sizes.num_experts)
        self.register_buffer("directions_DE", directions_DE)

    @override
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor) -> Routing:
        x_ND = x_BTD.detach().float().flatten(0, 1)
        logit_NE = x_ND @ self.directions_DE
        expert_NK = logit_NE.topk(self.top_k).indices
        active_NK = valid_BT.flatten()[:, None].expand_as(expert_NK)
        weight_NK = active_NK.float() / self.top_k
        return Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE)

    @override
    def add_task(self) -> list[nn.Parameter]:
        return []

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        super().keep(task, experts)
        self.directions_DE = self.directions_DE[:, experts]
