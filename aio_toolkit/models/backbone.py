"""The MoE transformer: blocks with experts for a feed-forward layer, for attention, or for both.

Letters: B batch, T frames, D model width, G tasks, E experts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from aio_toolkit.layers import (
    FeedForward,
    Mixer,
    SelfAttention,
    count_parameters,
    zero_with_gradient,
)
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.layer import MoELayer
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.ranges import bounded

# Standard deviation of a new task's embedding: small beside the frames that it is added to.
EMBEDDING_SCALE = 0.02


class Backbone(nn.Module):
    """Task-conditioned Transformer shared by all tasks.

    Attributes:
        task_embedding: a vector for each task, added to all of its frames.
        blocks: the Transformer blocks.
        drop_seed: what fixes which blocks `layer_drop` skips. Training sets it, alike for all
            micro-batches and ranks of an optimizer step. None draws them from torch's generator.

    >>> from aio_toolkit.moe.mixture import MoEAttention
    >>> moe = MoE.Config(attention=MoEAttention.Config(layers=[0]))
    >>> config = Backbone.Config(width=16, num_layers=2, num_heads=2, ffn_width=32, moe=moe)
    >>> backbone = Backbone(config, num_tasks=6)
    >>> x_BTD, valid_BT = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    >>> state_BTD, tables = backbone(x_BTD, valid_BT, torch.tensor([0, 3]))
    >>> state_BTD.shape, sorted(tables)
    (torch.Size([2, 5, 16]), ['block0.attention', 'block1.feed_forward'])
    """

    @dataclass
    class Config:
        """Size of the backbone.

        Attributes:
            width: channels D of every layer.
            num_layers: Transformer blocks.
            num_heads: attention heads; must divide `width`.
            ffn_width: width inside the dense feed-forward layers.
            conv_kernel: frames seen by each block's depthwise convolution (odd); 0 leaves it out.
            layer_drop: probability of skipping a block in a training step (Fan et al. 2020); the
                cheap dropout on a CPU. The step's gradient of a skipped block is zero.
            recompute: keep a block's input alone for the backward pass and compute the rest again:
                less memory, a third more time.
            moe: the experts.
        """

        width: int = bounded(192, least=1)
        num_layers: int = bounded(6, least=1)
        num_heads: int = bounded(4, least=1, divides="width")
        ffn_width: int = bounded(768, least=1)
        conv_kernel: int = bounded(7, least=0, odd=True)
        layer_drop: float = bounded(0.0, least=0, below=1)
        recompute: bool = False
        moe: MoE.Config = field(default_factory=MoE.Config)

    def __init__(self, config: Config, num_tasks: int):
        """Make task embeddings and blocks.

        Raises:
            AioError: the experts cannot be as configured.
        """
        super().__init__()
        self.layer_drop = config.layer_drop
        self.drop_seed: int | None = None
        self.recompute = config.recompute
        moe = MoE(config.moe, config.width, config.num_layers, num_tasks)
        # A parameter for each task, so that a new task's trains with the others untouched.
        self.task_embedding = nn.ParameterList()
        for _ in range(num_tasks):
            embedding_D = torch.randn(config.width) * EMBEDDING_SCALE
            self.task_embedding.append(embedding_D)
        self.blocks = nn.ModuleList()
        for number in range(config.num_layers):
            block = _Block(config, moe, number)
            self.blocks.append(block)
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, Tables]:
        """Frames (B, T, D) for the heads, and the routing tables of the MoE layers that ran.

        1. Add the embedding of each row's task to its frames.
        2. Run the blocks, in training without those that are dropped.
        3. Normalise.
        """
        embedding_GD = torch.stack(list(self.task_embedding))
        embedding_BD = embedding_GD[task_B]
        x_BTD = x_BTD + embedding_BD[:, None]

        tables: Tables = {}
        for number, block in enumerate(self.blocks):
            if self._drops(number):
                # Data-parallel training waits for the gradients of all parameters.
                x_BTD = x_BTD + zero_with_gradient(block)
                continue
            inputs = x_BTD, valid_BT, task_B
            if self.training and self.recompute:
                x_BTD, of_block = checkpoint(block, *inputs, use_reentrant=False)
            else:
                x_BTD, of_block = block(*inputs)
            for place, table in of_block.items():
                tables[f"block{number}.{place}"] = table

        return self.norm(x_BTD), tables

    def moe_layers(self) -> dict[str, MoELayer]:
        """The MoE layers by the names that routing tables go by."""
        layers = {}
        for number, block in enumerate(self.blocks):
            for place, layer in cast(_Block, block).moe_layers():
                layers[f"block{number}.{place}"] = layer
        return layers

    def add_task(self) -> list[nn.Parameter]:
        """Make room for one more task, the last; return the parameters that are its alone."""
        embedding_D = torch.randn_like(self.task_embedding[0]) * EMBEDDING_SCALE
        self.task_embedding.append(embedding_D)
        own = [self.task_embedding[-1]]
        for layer in self.moe_layers().values():
            own += layer.add_task()
        return own

    def keep(self, task: int, experts: dict[str, list[int]]) -> None:
        """Throw away all but one task and the given experts.

        Args:
            task: index of the task.
            experts: those of each MoE layer, by the layer's name; renumbered in that order.
        """
        kept_D = self.task_embedding[task]
        self.task_embedding = nn.ParameterList([kept_D])
        for name, layer in self.moe_layers().items():
            layer.keep(task, experts[name])

    def active_parameters(self) -> int:
        """Parameters that one token of one task uses: see `MoELayer.active_parameters`."""
        other_tasks = len(self.task_embedding) - 1
        embedding_D = self.task_embedding[0]
        idle = other_tasks * embedding_D.numel()
        for layer in self.moe_layers().values():
            idle += count_parameters(layer) - layer.active_parameters()
        return count_parameters(self) - idle

    def _drops(self, block: int) -> bool:
        # Where no block is ever dropped, nothing is drawn.
        if not self.training or self.layer_drop <= 0:
            return False
        if self.drop_seed is None:
            return bool(torch.rand(()) < self.layer_drop)
        chance = np.random.default_rng([self.drop_seed, block]).random()
        return chance < self.layer_drop


class _Block(nn.Module):
    """Attention, convolution and feed-forward layer, each around a residual connection."""

    def __init__(self, config: Backbone.Config, moe: MoE, number: int):
        super().__init__()
        width = config.width
        # Attention, mixer, feed-forward layer: they draw initial weights in this order.
        attention = moe.layer("attention", number)
        if attention is None:
            attention = SelfAttention(width, config.num_heads)
        self.mixer = Mixer(width, attention, config.conv_kernel)
        self.norm = nn.LayerNorm(width)
        feed_forward = moe.layer("feed_forward", number)
        if feed_forward is None:
            feed_forward = FeedForward(width, config.ffn_width)
        self.feed_forward = feed_forward

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, RoutingTable]]:
        """Frames (B, T, D), and the tables of the layers that route.

        1. Attention, or its experts.
        2. Convolution, where there is one.
        3. Feed-forward layer, or its experts.
        """
        tables: dict[str, RoutingTable] = {}
        normed_BTD = self.mixer.attention_norm(x_BTD)
        if isinstance(self.mixer.attention, MoELayer):
            y_BTD, tables["attention"] = self.mixer.attention(normed_BTD, valid_BT, task_B)
        else:
            y_BTD = self.mixer.attention(normed_BTD, valid_BT)

        x_BTD = self.mixer.convolve(x_BTD + y_BTD, valid_BT)

        normed_BTD = self.norm(x_BTD)
        if isinstance(self.feed_forward, MoELayer):
            y_BTD, tables["feed_forward"] = self.feed_forward(normed_BTD, valid_BT, task_B)
        else:
            y_BTD = self.feed_forward(normed_BTD)
        return x_BTD + y_BTD, tables

    def moe_layers(self) -> Iterator[tuple[str, MoELayer]]:
        """The layers that route, by place."""
        layers = {"attention": self.mixer.attention, "feed_forward": self.feed_forward}
        for place, layer in layers.items():
            if isinstance(layer, MoELayer):
                yield place, layer
