"""The MoE layer: it takes the place of a block's feed-forward layer or of its attention."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.encoders.layers import FeedForward
from aio_toolkit.errors import AioError
from aio_toolkit.moe.attention import AttentionExperts
from aio_toolkit.moe.balance import BalanceConfig, expected_visits
from aio_toolkit.moe.base import Routing, RoutingTable
from aio_toolkit.moe.experts import FeedForwardExperts
from aio_toolkit.moe.router import RouterConfig, build_router


@dataclass
class AttentionConfig:
    """Attention experts.

    Attributes:
        layers: blocks whose attention is a mixture of heads, counted from 0; none by default.
        num_experts: heads.
        top_k: heads that each frame visits.
        head_width: channels of a head.
    """

    layers: list[int] = field(default_factory=list)
    num_experts: int = 8
    top_k: int = 4
    head_width: int = 48


@dataclass
class MoEConfig:
    """Mixture of Experts of the backbone.

    Attributes:
        layers: blocks with feed-forward experts, counted from 0; None: every second (M3ViT); empty: none, which
            makes the dense twin of equal active parameters.
        num_experts: feed-forward experts E in each of those blocks. A single one is a plain dense layer of
            `expert_hidden`: with `expert_hidden` E times as wide, the dense twin of equal total parameters.
        top_k: experts that each frame visits, or visits at most under `router.top_p`.
        expert_hidden: hidden width of one expert. Active compute equals a dense layer of `top_k * expert_hidden`.
        activation: `gelu` or `swiglu`.
        shared_hidden: hidden width of an expert that every frame visits besides, with weight 1; 0 leaves it out.
        attention: attention experts.
        router: how experts are chosen.
        balance: what keeps them in use.
        kept: experts left in each MoE layer, in a model that was cut out of another; see `models.subnetwork`.
    """

    layers: list[int] | None = None
    num_experts: int = 8
    top_k: int = 2
    expert_hidden: int = 384
    activation: str = "gelu"
    shared_hidden: int = 0
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    router: RouterConfig = field(default_factory=RouterConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    kept: dict[str, int] = field(default_factory=dict)

    def feed_forward_layers(self, num_layers: int) -> list[int]:
        """Blocks with feed-forward experts in a backbone of so many."""
        return list(range(1, num_layers, 2)) if self.layers is None else _checked(self.layers, num_layers, "layers")

    def attention_layers(self, num_layers: int) -> list[int]:
        """Blocks with attention experts in a backbone of so many."""
        return _checked(self.attention.layers, num_layers, "attention.layers")


def _checked(layers: list[int], num_layers: int, key: str) -> list[int]:
    beyond = [layer for layer in layers if not 0 <= layer < num_layers]
    if beyond:
        raise AioError(f"moe.{key} names block {beyond[0]}; the backbone has blocks 0 to {num_layers - 1}.")
    return layers


def _top_k(top_k: int, kept: int | None) -> int:
    return top_k if kept is None else min(top_k, kept)


class MoEFeedForward(nn.Module):
    """Router and feed-forward experts over the real frames of a padded batch."""

    def __init__(self, width: int, num_tasks: int, config: MoEConfig, kept: int | None = None):
        """`kept` experts, where they are fewer than the configuration says."""
        super().__init__()
        num_experts = kept or config.num_experts
        self.num_tasks = num_tasks
        self.importance_load = config.balance.kind == "importance_load"
        self.router = build_router(width, num_tasks, num_experts, _top_k(config.top_k, kept), config.router)
        self.experts = FeedForwardExperts(width, config.expert_hidden, num_experts, config.activation)
        self.shared = FeedForward(width, config.shared_hidden) if config.shared_hidden else None

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, RoutingTable]:
        """Output (B, T, D), zero on padding, and the table of what was routed where."""
        routing = self.router(x_BTD, task_B, valid_BT)
        y_BTD = self.experts(x_BTD.flatten(0, 1), routing).view_as(x_BTD)
        if self.shared is not None:
            y_BTD = y_BTD + (self.shared(x_BTD) * valid_BT[..., None]).to(y_BTD.dtype)
        return y_BTD, tabulate(routing, members(task_B, valid_BT, self.num_tasks), self.importance_load)


class MoEAttention(nn.Module):
    """Router and attention experts over the real frames of a padded batch."""

    def __init__(self, width: int, num_tasks: int, config: MoEConfig, kept: int | None = None):
        """`kept` experts, where they are fewer than the configuration says."""
        super().__init__()
        sizes = config.attention
        num_experts = kept or sizes.num_experts
        self.num_tasks = num_tasks
        self.importance_load = config.balance.kind == "importance_load"
        self.router = build_router(width, num_tasks, num_experts, _top_k(sizes.top_k, kept), config.router)
        self.experts = AttentionExperts(width, sizes.head_width, num_experts)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, RoutingTable]:
        """Output (B, T, D), zero on padding, and the table of what was routed where."""
        routing = self.router(x_BTD, task_B, valid_BT)
        y_BTD = self.experts(x_BTD, valid_BT, routing).view_as(x_BTD)
        return y_BTD, tabulate(routing, members(task_B, valid_BT, self.num_tasks), self.importance_load)


def members(task_B: torch.Tensor, valid_BT: torch.Tensor, num_tasks: int) -> torch.Tensor:
    """Which tokens are of which task (G, N): 1.0 or 0.0, and 0.0 for padding."""
    member_GB = F.one_hot(task_B, num_tasks).T.float()
    return (member_GB[..., None] * valid_BT).flatten(1)


def tabulate(routing: Routing, member_GN: torch.Tensor, importance_load: bool = False) -> RoutingTable:
    """Sums over the tokens of each task; what only the loss of that name looks at is zero without `importance_load`."""
    with torch.autocast(member_GN.device.type, enabled=False):
        logit_NE = routing.logit_NE
        E = logit_NE.shape[1]
        empty_NE = torch.zeros_like(logit_NE)
        columns = [
            logit_NE.logsumexp(-1, keepdim=True).square(),
            logit_NE.softmax(-1),
            empty_NE.scatter(1, routing.expert_NK, routing.active_NK.float()),
        ]
        if importance_load:
            columns += [empty_NE.scatter(1, routing.expert_NK, routing.weight_NK), expected_visits(routing)]
        square_G1, probability_GE, count_GE, *rest = (member_GN @ torch.cat(columns, dim=1)).split(
            [1, *[E] * (len(columns) - 1)], dim=1
        )
        importance_GE, expected_GE = rest or [torch.zeros_like(count_GE)] * 2
    return RoutingTable(
        member_GN.sum(1), count_GE.detach(), probability_GE, importance_GE, expected_GE, square_G1[:, 0]
    )
