"""The MoE layer: it takes the place of a block's feed-forward layer."""

from dataclasses import dataclass

import torch
from torch import nn

from aio_toolkit.moe.base import Routing, RoutingTable
from aio_toolkit.moe.experts import FeedForwardExperts
from aio_toolkit.moe.router import TaskRouter


class MoELayer(nn.Module):
    """Router and experts over the real frames of a padded batch."""

    @dataclass
    class Config:
        """Mixture of Experts.

        Attributes:
            num_experts: experts E in each MoE layer; 0 makes every block dense.
            top_k: experts that each frame visits.
            expert_hidden: hidden width of one expert. Active compute equals a dense layer of
                `top_k * expert_hidden`.
            every: MoE in every n-th block, the others stay dense (M3ViT: 2).
            noise: standard deviation of the training noise on gate logits.
            balance_weight: weight of the task-expert mutual information in the loss.
        """

        num_experts: int = 8
        top_k: int = 2
        expert_hidden: int = 384
        every: int = 2
        noise: float = 0.1
        balance_weight: float = 0.01

    def __init__(self, width: int, num_tasks: int, config: Config):
        super().__init__()
        self.num_tasks = num_tasks
        self.router = TaskRouter(width, num_tasks, config.num_experts, config.top_k, config.noise)
        self.experts = FeedForwardExperts(width, config.expert_hidden, config.num_experts)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, RoutingTable]:
        """Output (B, T, D), zero on padding, and the table of what was routed where."""
        x_ND = x_BTD[valid_BT]
        task_N = task_B[:, None].expand_as(valid_BT)[valid_BT]
        routing = self.router(x_ND, task_N)
        y_ND = self.experts(x_ND, routing)
        y_BTD = torch.zeros(x_BTD.shape, dtype=y_ND.dtype, device=y_ND.device)
        y_BTD[valid_BT] = y_ND
        return y_BTD, tabulate(routing, task_N, self.num_tasks)


def tabulate(routing: Routing, task_N: torch.Tensor, num_tasks: int) -> RoutingTable:
    """Per-task means of gate probabilities and of expert load."""
    E = routing.probability_NE.shape[1]
    member_GN = torch.nn.functional.one_hot(task_N, num_tasks).T.float()
    tokens_G = member_GN.sum(1)
    share_GN = member_GN / tokens_G.clamp_min(1)[:, None]
    with torch.autocast(task_N.device.type, enabled=False):
        probability_GE = share_GN @ routing.probability_NE
        chosen_NE = torch.nn.functional.one_hot(routing.expert_NK, E).float().mean(1)
        load_GE = share_GN @ chosen_NE
    return RoutingTable(probability_GE, load_GE, tokens_G > 0)
