"""The MoE layer: it takes the place of a block's feed-forward layer or of its attention."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from aio_toolkit.config import Choice, one_of
from aio_toolkit.layers import FeedForward, count_parameters
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.experts.base import Experts
from aio_toolkit.moe.routers.base import Router, RouterSizes
from aio_toolkit.moe.tabulate import members, tabulate
from aio_toolkit.ranges import bounded


class MoELayer(nn.Module):
    """A router, its experts and, if asked for, an expert that every frame visits.

    Attributes:
        num_tasks: tasks G that the routing table has rows for.
        router: chooses experts for each frame.
        experts: what frames visit.
        shared: what every frame visits besides; None: nothing.

    >>> from aio_toolkit import parts
    >>> config = MoELayer.Config(num_experts=4, top_k=2, shared_width=16)
    >>> sizes = RouterSizes(width=8, num_tasks=6, num_experts=4, top_k=2)
    >>> router = parts.build(Router, Choice("per_task"), sizes)
    >>> experts = parts.build(Experts, config.experts, 8, 4)
    >>> layer = MoELayer(config, sizes, router, experts)
    >>> x_BTD, valid_BT = torch.randn(1, 3, 8), torch.tensor([[True, True, False]])
    >>> y_BTD, table = layer(x_BTD, valid_BT, torch.tensor([5]))
    >>> y_BTD.shape, table.tokens_G.tolist()
    (torch.Size([1, 3, 8]), [0.0, 0.0, 0.0, 0.0, 0.0, 2.0])
    """

    @dataclass
    class Config:
        """Which blocks have such a layer, and how large it is.

        Attributes:
            layers: blocks that have it, counted from 0; null: every second (M3ViT); empty: none.
            num_experts: experts E. A single feed-forward expert is a plain dense layer: as wide as
                E experts together, it is the dense twin of equal total parameters.
            top_k: experts that each frame visits, or visits at most under the router's `top_p`.
            shared_width: width inside a feed-forward expert that every frame visits besides, with
                weight 1; 0 leaves it out.
            experts: what frames visit.
        """

        layers: list[int] | None = None
        num_experts: int = bounded(8, least=1)
        top_k: int = bounded(2, least=1, up_to="num_experts")
        shared_width: int = bounded(0, least=0)
        experts: Choice = one_of("moe/experts", "feed_forward")

    def __init__(
        self,
        config: Config,
        sizes: RouterSizes,
        router: Router,
        experts: Experts,
        reads: frozenset[str] = frozenset(),
    ):
        """`reads` are the columns of the routing table that the balance asks for."""
        super().__init__()
        self.num_tasks = sizes.num_tasks
        self.reads = reads
        self.router = router
        self.experts = experts
        self.shared: FeedForward | None = None
        if config.shared_width:
            self.shared = FeedForward(sizes.width, config.shared_width)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, RoutingTable]:
        """Output (B, T, D), zero on padding, and the table of what was routed where.

        1. Route: choose and weigh experts for every frame.
        2. Visit: add up the outputs of each frame's experts by weight.
        3. Add what the shared expert says.
        4. Tabulate by task what was routed where, for balance and figures.
        """
        routing = self.router(x_BTD, valid_BT, task_B)
        y_BTD = self.experts(x_BTD, valid_BT, routing)
        if self.shared is not None:
            # Its biases would make something of padding.
            shared_BTD = self.shared(x_BTD) * valid_BT[..., None]
            y_BTD = y_BTD + shared_BTD.to(y_BTD.dtype)

        member_GN = members(valid_BT, task_B, self.num_tasks)
        table = tabulate(routing, member_GN, self.reads)
        return y_BTD, table

    def add_task(self) -> list[nn.Parameter]:
        """Make room for one more task, the last; return the parameters that are its alone."""
        self.num_tasks += 1
        return self.router.add_task()

    def keep(self, task: int, experts: list[int]) -> None:
        """Throw away all but one task and the given experts, which are renumbered in that order."""
        self.num_tasks = 1
        self.router.keep(task, experts)
        self.experts.keep(experts)

    def active_parameters(self) -> int:
        """Parameters that one token of one task uses.

        Of the experts' own matrices these are those of the `top_k` that it visits. Of the router it
        is what one task needs to score all experts. Everything else is used as a whole.
        """
        num_experts = self.experts.num_experts
        not_visited = num_experts - self.router.top_k
        idle = 0
        for name in self.experts.expert_parameters():
            weight_EXY = getattr(self.experts, name)
            idle += not_visited * weight_EXY[0].numel()

        # Only a router knows what belongs to a task; so a copy of it is cut, and counted.
        of_one_task = copy.deepcopy(self.router)
        of_one_task.keep(0, list(range(num_experts)))
        idle += count_parameters(self.router) - count_parameters(of_one_task)
        return count_parameters(self) - idle
