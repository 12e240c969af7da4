"""Feed-forward experts: two-layer networks, of which each token visits a few."""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.dispatch import compute_dtype, dispatch, grouped_linear

ACTIVATIONS = ("gelu", "swiglu")


class FeedForwardExperts(nn.Module):
    """E independent networks with GELU or SwiGLU (Shazeer 2020). Dropless: every chosen pair is computed."""

    def __init__(self, width: int, hidden: int, num_experts: int, activation: str = "gelu"):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise AioError(f"unknown moe.activation '{activation}'. Choose one of: {', '.join(ACTIVATIONS)}.")
        check_multiples_of_8(width=width, expert_hidden=hidden)
        self.num_experts = num_experts
        self.gated = activation == "swiglu"
        self.w1_EDH = expert_matrices(num_experts, width, 2 * hidden if self.gated else hidden)
        self.w2_EHD = expert_matrices(num_experts, hidden, width)

    def forward(self, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
        """Weighted sum (N, D) of the chosen experts' outputs."""
        plan = dispatch(routing, self.num_experts, compute_dtype(x_ND))
        hidden_RH = grouped_linear(plan.scatter(x_ND), self.w1_EDH, plan.ends_E)
        if self.gated:
            gate_RH, value_RH = hidden_RH.chunk(2, dim=-1)
            hidden_RH = F.silu(gate_RH) * value_RH
        else:
            hidden_RH = F.gelu(hidden_RH)
        return plan.combine(grouped_linear(hidden_RH, self.w2_EHD, plan.ends_E), routing.weight_NK)

    def keep(self, experts: list[int]) -> None:
        """Throw the other experts away; the kept ones are renumbered in the given order."""
        self.num_experts = len(experts)
        self.w1_EDH = nn.Parameter(self.w1_EDH.data[experts])
        self.w2_EHD = nn.Parameter(self.w2_EHD.data[experts])


def expert_matrices(num_experts: int, rows: int, columns: int) -> nn.Parameter:
    """One matrix an expert, initialised as `nn.Linear` would, expert by expert."""
    bound = rows**-0.5
    return nn.Parameter(torch.empty(num_experts, rows, columns).uniform_(-bound, bound))


def check_multiples_of_8(**sizes: int) -> None:
    """Grouped matrix products take no other sizes."""
    for name, size in sizes.items():
        if size % 8:
            raise AioError(f"grouped matrix products need multiples of 8, not moe.{name} = {size}.")
