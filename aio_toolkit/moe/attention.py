"""Attention experts (Mod-Squad, Chen et al. 2023; Mixture of Attention Heads, Zhang et al. 2022).

An expert is a head: its own query and output projection. Keys and values are one head that all experts share, so a
token pays for the heads it visits and no more. C is the head width.
"""

import torch
from torch import nn

from aio_toolkit.encoders.layers import attend, rotary_angles, rotate
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.dispatch import compute_dtype, dispatch, grouped_linear
from aio_toolkit.moe.experts import check_multiples_of_8, expert_matrices


class AttentionExperts(nn.Module):
    """E attention heads with rotary positions, of which each frame visits a few."""

    def __init__(self, width: int, head_width: int, num_experts: int):
        super().__init__()
        check_multiples_of_8(width=width, head_width=head_width)
        self.num_experts = num_experts
        self.query_EDC = expert_matrices(num_experts, width, head_width)
        self.out_ECD = expert_matrices(num_experts, head_width, width)
        self.key_value = nn.Linear(width, 2 * head_width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, routing: Routing) -> torch.Tensor:
        """Weighted sum (N, D) of what the heads of each frame see; padded frames are not seen."""
        (B, T), K = valid_BT.shape, routing.expert_NK.shape[1]
        x_ND = x_BTD.flatten(0, 1)
        plan = dispatch(routing, self.num_experts, compute_dtype(x_ND))
        query_RC = grouped_linear(plan.scatter(x_ND), self.query_EDC, plan.ends_E)
        query_BKTC = plan.to_slots(query_RC).view(B, T, K, -1).transpose(1, 2)
        key, value = self.key_value(x_BTD)[:, None].chunk(2, dim=-1)
        cos_TC, sin_TC = rotary_angles(T, key.shape[-1], x_BTD.device)
        seen_BKTC = attend(rotate(query_BKTC, cos_TC, sin_TC), rotate(key, cos_TC, sin_TC), value, valid_BT)
        seen_RC = plan.from_slots(seen_BKTC.transpose(1, 2).flatten(0, 1))
        return plan.combine(grouped_linear(seen_RC, self.out_ECD, plan.ends_E), routing.weight_NK)

    def keep(self, experts: list[int]) -> None:
        """Throw the other experts away; the kept ones are renumbered in the given order."""
        self.num_experts = len(experts)
        self.query_EDC = nn.Parameter(self.query_EDC.data[experts])
        self.out_ECD = nn.Parameter(self.out_ECD.data[experts])
