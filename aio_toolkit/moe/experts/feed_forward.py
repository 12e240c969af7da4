"""Feed-forward experts: two-layer networks, of which each token visits a few."""

import enum
from dataclasses import dataclass
from typing import ClassVar, override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.layers import FeedForward
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


class Activation(enum.StrEnum):
    """What stands between the two layers of an expert; SwiGLU (Shazeer 2020) has its own gate."""

    gelu = "gelu"
    swiglu = "swiglu"


class FeedForwardExperts(Experts):
    """E independent two-layer networks without biases. Dropless: every chosen pair is computed.

    >>> config = FeedForwardExperts.Config(ffn_width=16, activation=Activation.swiglu)
    >>> experts = FeedForwardExperts(config, width=8, num_experts=4)
    >>> experts.w1_EDH.shape, experts.w2_EHD.shape
    (torch.Size([4, 8, 32]), torch.Size([4, 16, 8]))
    """

    replaces: ClassVar[Place] = "feed_forward"

    @dataclass
    class Config(Experts.Config):
        """Size and kind of the networks.

        Attributes:
            ffn_width: width H inside one expert, a multiple of 8. Active compute equals a dense
                layer of `top_k * ffn_width`.
            activation: `gelu` or `swiglu`.
        """

        ffn_width: int = bounded(384, least=1, multiple=8)
        activation: Activation = Activation.gelu

    def __init__(self, config: Config, width: int, num_experts: int):
        """Make the matrices.

        Raises:
            AioError: `width` is not a multiple of 8.
        """
        super().__init__(config, width, num_experts)
        ffn_width = config.ffn_width
        check_multiples_of_8(width=width)
        self.gated = config.activation == Activation.swiglu
        # Gate and value are the halves of one product.
        w1_width = 2 * ffn_width if self.gated else ffn_width
        self.w1_EDH = expert_matrices(num_experts, width, w1_width)
        self.w2_EHD = expert_matrices(num_experts, ffn_width, width)

    @override
    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, routing: Routing
    ) -> torch.Tensor:
        """Weighted sum (B, T, D) of the outputs of each frame's experts; zero on padding.

        1. Copy each frame for every expert that it visits, sorted by expert.
        2. First matrices, activation, second matrices.
        3. Add up each frame's outputs by weight.
        """
        x_ND = x_BTD.flatten(0, 1)
        plan = dispatch(routing, self.num_experts, compute_dtype(x_ND))
        x_RD = plan.scatter(x_ND)

        inner_RH = grouped_linear(x_RD, self.w1_EDH, plan.ends_E)
        inner_RH = self._activate(inner_RH)
        y_RD = grouped_linear(inner_RH, self.w2_EHD, plan.ends_E)

        y_ND = plan.combine(y_RD, routing.weight_NK)
        return y_ND.view_as(x_BTD)

    def _activate(self, inner_RH: torch.Tensor) -> torch.Tensor:
        if not self.gated:
            return F.gelu(inner_RH)
        gate_RH, value_RH = inner_RH.chunk(2, dim=-1)
        return F.silu(gate_RH) * value_RH

    @override
    def expert_parameters(self) -> list[str]:
        """Both matrices."""
        return ["w1_EDH", "w2_EHD"]

    @classmethod
    @override
    def dense_twin(cls, config: Config, width: int) -> nn.Module:
        """A feed-forward layer of the same width; its activation is GELU."""
        return FeedForward(width, config.ffn_width)
