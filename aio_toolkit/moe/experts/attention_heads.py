"""Attention experts (Mod-Squad, Chen et al. 2023; Mixture of Attention Heads, Zhang et al. 2022).

An expert is a head: its own query and output projection. Keys and values are one head that all
experts share, so a token pays for the heads it visits and no more. C is the head width.
"""

from dataclasses import dataclass
from typing import ClassVar, override

import torch
from torch import nn

from aio_toolkit.layers import attend, rotary_angles, rotate
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.dispatch import dispatch
from aio_toolkit.moe.experts.base import Experts, Place
from aio_toolkit.moe.matrices import (
    check_multiples_of_8,
    compute_dtype,
    expert_matrices,
    grouped_linear,
)
from aio_toolkit.ranges import bounded


class AttentionHeads(Experts):
    """E attention heads with rotary positions, of which each frame visits a few.

    >>> experts = AttentionHeads(AttentionHeads.Config(head_width=16), width=8, num_experts=4)
    >>> experts.query_EDC.shape, experts.out_ECD.shape
    (torch.Size([4, 8, 16]), torch.Size([4, 16, 8]))
    """

    replaces: ClassVar[Place] = "attention"

    @dataclass
    class Config(Experts.Config):
        """Size of the heads.

        Attributes:
            head_width: channels C of a head, a multiple of 8.
        """

        head_width: int = bounded(48, least=1, multiple=8)

    def __init__(self, config: Config, width: int, num_experts: int):
        """Make the matrices.

        Raises:
            AioError: `width` is not a multiple of 8.
        """
        super().__init__(config, width, num_experts)
        head_width = config.head_width
        check_multiples_of_8(width=width)
        self.query_EDC = expert_matrices(num_experts, width, head_width)
        self.out_ECD = expert_matrices(num_experts, head_width, width)
        self.key_value = nn.Linear(width, 2 * head_width)

    @override
    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, routing: Routing
    ) -> torch.Tensor:
        """Weighted sum (B, T, D) of what the heads of each frame see; padded frames are not seen.

        1. Queries: by expert, then put in the slots of their frames.
        2. Keys and values, shared by all heads.
        3. Attention, each slot a head of its own.
        4. Output projections: by expert again, added up by weight.
        """
        B, T = valid_BT.shape
        x_ND = x_BTD.flatten(0, 1)
        plan = dispatch(routing, self.num_experts, compute_dtype(x_ND))

        x_RD = plan.scatter(x_ND)
        query_RC = grouped_linear(x_RD, self.query_EDC, plan.ends_E)
        query_NKC = plan.to_slots(query_RC)
        query_BTKC = query_NKC.view(B, T, *query_NKC.shape[1:])
        query_BKTC = query_BTKC.transpose(1, 2)

        # A single head, which all queries share.
        key_value_BTX = self.key_value(x_BTD)
        key_value_B1TX = key_value_BTX[:, None]
        key_B1TC, value_B1TC = key_value_B1TX.chunk(2, dim=-1)
        seen_BKTC = self._attend(query_BKTC, key_B1TC, value_B1TC, valid_BT)

        seen_BTKC = seen_BKTC.transpose(1, 2)
        seen_NKC = seen_BTKC.flatten(0, 1)
        seen_RC = plan.from_slots(seen_NKC)
        y_RD = grouped_linear(seen_RC, self.out_ECD, plan.ends_E)
        y_ND = plan.combine(y_RD, routing.weight_NK)
        return y_ND.view_as(x_BTD)

    def _attend(
        self,
        query_BKTC: torch.Tensor,
        key_B1TC: torch.Tensor,
        value_B1TC: torch.Tensor,
        valid_BT: torch.Tensor,
    ) -> torch.Tensor:
        """What each slot's head sees (B, K, T, C), with rotary positions."""
        T, C = key_B1TC.shape[-2:]
        cos_TC, sin_TC = rotary_angles(T, C, key_B1TC.device)
        query_BKTC = rotate(query_BKTC, cos_TC, sin_TC)
        key_B1TC = rotate(key_B1TC, cos_TC, sin_TC)
        return attend(query_BKTC, key_B1TC, value_B1TC, valid_BT)

    @override
    def expert_parameters(self) -> list[str]:
        """Query and output projections; keys and values are every head's."""
        return ["query_EDC", "out_ECD"]
