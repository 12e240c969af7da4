"""Experts that are as small as experts can be."""

from dataclasses import dataclass
from typing import ClassVar, override

import torch
from torch import nn

from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.experts.base import Experts, Place


class Scales(Experts):
    """Each expert multiplies every channel by a number of its own."""

    replaces: ClassVar[Place] = "feed_forward"

    @dataclass
    class Config:
        """Options.

        Attributes:
            start: what the numbers are spread around at first.
        """

        start: float = 1.0

    def __init__(self, config: Config, width: int, num_experts: int):
        super().__init__(config, width, num_experts)
        self.scale_ED = nn.Parameter(config.start + 0.1 * torch.randn(num_experts, width))

    @override
    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, routing: Routing
    ) -> torch.Tensor:
        scale_NKD = self.scale_ED[routing.expert_NK]
        weighted_ND = (routing.weight_NK[..., None] * scale_NKD).sum(1)
        return weighted_ND.view_as(x_BTD) * x_BTD

    @override
    def expert_parameters(self) -> list[str]:
        return ["scale_ED"]
