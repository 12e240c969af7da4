"""The MoE transformer: blocks whose feed-forward layer is, in every n-th, a Mixture of Experts.

Letters: B batch, T frames, D model width, G tasks, E experts.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from aio_toolkit.encoders.layers import FeedForward, Mixer
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.layer import MoELayer


class Backbone(nn.Module):
    """Task-conditioned Transformer shared by all tasks."""

    @dataclass
    class Config:
        """Size of the backbone.

        Attributes:
            width: channels D of every layer.
            num_layers: Transformer blocks.
            num_heads: attention heads; must divide `width`.
            hidden: width inside the dense feed-forward layers.
            conv_kernel: frames seen by each block's depthwise convolution (odd); 0 leaves it out.
            layer_drop: probability of skipping a block in training (Fan et al. 2020); the cheap dropout on a CPU.
            moe: the experts; `moe.num_experts: 0` is the dense twin.
        """

        width: int = 192
        num_layers: int = 6
        num_heads: int = 4
        hidden: int = 768
        conv_kernel: int = 7
        layer_drop: float = 0.0
        moe: MoELayer.Config = field(default_factory=MoELayer.Config)

    def __init__(self, config: Config, num_tasks: int):
        super().__init__()
        self.layer_drop = config.layer_drop
        self.task_embedding = nn.Embedding(num_tasks, config.width)
        nn.init.normal_(self.task_embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(
            _Block(config, num_tasks if _has_experts(config.moe, layer) else 0) for layer in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, list[RoutingTable]]:
        """Frames (B, T, D) for the heads, and one routing table per MoE layer that ran."""
        x_BTD = x_BTD + self.task_embedding(task_B)[:, None]
        tables = []
        for block in self.blocks:
            if self.training and self.layer_drop > 0 and torch.rand(()) < self.layer_drop:
                continue
            x_BTD, table = block(x_BTD, valid_BT, task_B)
            if table is not None:
                tables.append(table)
        return self.norm(x_BTD), tables


def _has_experts(moe: MoELayer.Config, layer: int) -> bool:
    return moe.num_experts > 0 and layer % moe.every == moe.every - 1


class _Block(nn.Module):
    def __init__(self, config: Backbone.Config, num_tasks: int):
        """A dense block where `num_tasks` is 0, a block with experts otherwise."""
        super().__init__()
        self.mixer = Mixer(config.width, config.num_heads, config.conv_kernel)
        self.norm = nn.LayerNorm(config.width)
        self.moe = MoELayer(config.width, num_tasks, config.moe) if num_tasks else None
        self.feed_forward = None if num_tasks else FeedForward(config.width, config.hidden)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, RoutingTable | None]:
        x_BTD = self.mixer(x_BTD, valid_BT)
        if self.moe is None:
            return x_BTD + self.feed_forward(self.norm(x_BTD)), None
        y_BTD, table = self.moe(self.norm(x_BTD), valid_BT, task_B)
        return x_BTD + y_BTD, table
