"""The MoE transformer: blocks of which some have experts for a feed-forward layer, for heads of attention, or both.

Letters: B batch, T frames, D model width, G tasks, E experts.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from aio_toolkit.encoders.layers import FeedForward, Mixer, SelfAttention
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.layer import MoEAttention, MoEConfig, MoEFeedForward


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
            recompute: keep a block's input alone for the backward pass and compute the rest again: less memory, a
                third more time.
            moe: the experts.
        """

        width: int = 192
        num_layers: int = 6
        num_heads: int = 4
        hidden: int = 768
        conv_kernel: int = 7
        layer_drop: float = 0.0
        recompute: bool = False
        moe: MoEConfig = field(default_factory=MoEConfig)

    def __init__(self, config: Config, num_tasks: int):
        super().__init__()
        self.layer_drop, self.recompute = config.layer_drop, config.recompute
        # A parameter for each task, so that a new task's trains with the others untouched.
        self.task_embedding = nn.ParameterList(torch.randn(config.width) * 0.02 for _ in range(num_tasks))
        self.blocks = nn.ModuleList(_Block(config, layer, num_tasks) for layer in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor) -> tuple[torch.Tensor, Tables]:
        """Frames (B, T, D) for the heads, and the routing tables of the MoE layers that ran."""
        x_BTD = x_BTD + torch.stack(list(self.task_embedding))[task_B][:, None]
        tables = {}
        for number, block in enumerate(self.blocks):
            if self.training and self.layer_drop > 0 and torch.rand(()) < self.layer_drop:
                continue
            if self.training and self.recompute:
                x_BTD, of_block = checkpoint(block, x_BTD, valid_BT, task_B, use_reentrant=False)
            else:
                x_BTD, of_block = block(x_BTD, valid_BT, task_B)
            tables |= {f"block{number}.{name}": table for name, table in of_block.items()}
        return self.norm(x_BTD), tables

    def moe_layers(self) -> dict[str, MoEFeedForward | MoEAttention]:
        """The MoE layers by the names that routing tables go by."""
        layers = {}
        for number, block in enumerate(self.blocks):
            for name, layer in (("attention", block.mixer.attention), ("feed_forward", block.feed_forward)):
                if isinstance(layer, MoEFeedForward | MoEAttention):
                    layers[f"block{number}.{name}"] = layer
        return layers


class _Block(nn.Module):
    def __init__(self, config: Backbone.Config, number: int, num_tasks: int):
        super().__init__()
        width, moe = config.width, config.moe
        routed = number in moe.attention_layers(config.num_layers)
        attention = (
            MoEAttention(width, num_tasks, moe, moe.kept.get(f"block{number}.attention"))
            if routed
            else SelfAttention(width, config.num_heads)
        )
        self.mixer = Mixer(width, attention, config.conv_kernel)
        self.norm = nn.LayerNorm(width)
        if number not in moe.feed_forward_layers(config.num_layers):
            self.feed_forward = FeedForward(width, config.hidden)
        elif moe.num_experts == 1:
            self.feed_forward = FeedForward(width, moe.expert_hidden)
        else:
            self.feed_forward = MoEFeedForward(width, num_tasks, moe, moe.kept.get(f"block{number}.feed_forward"))

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, RoutingTable]]:
        tables = {}
        if isinstance(self.mixer.attention, MoEAttention):
            y_BTD, tables["attention"] = self.mixer.attention(self.mixer.attention_norm(x_BTD), valid_BT, task_B)
            x_BTD = self.mixer.convolve(x_BTD + y_BTD, valid_BT)
        else:
            x_BTD = self.mixer(x_BTD, valid_BT)
        if isinstance(self.feed_forward, MoEFeedForward):
            y_BTD, tables["feed_forward"] = self.feed_forward(self.norm(x_BTD), valid_BT, task_B)
        else:
            y_BTD = self.feed_forward(self.norm(x_BTD))
        return x_BTD + y_BTD, tables
