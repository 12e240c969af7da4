"""The experts' weights and their computation: sort tokens by expert, multiply in groups, put back."""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing


class FeedForwardExperts(nn.Module):
    """E independent two-layer GELU networks. Dropless: every (token, choice) pair is computed."""

    def __init__(self, width: int, hidden: int, num_experts: int):
        super().__init__()
        if width % 8 or hidden % 8:
            raise AioError(
                f"grouped matrix products need multiples of 8, not width {width}, moe.expert_hidden {hidden}."
            )
        self.num_experts = num_experts
        self.w1_EDH = nn.Parameter(torch.empty(num_experts, width, hidden))
        self.w2_EHD = nn.Parameter(torch.empty(num_experts, hidden, width))
        for weight in (self.w1_EDH, self.w2_EHD):
            # The initialisation of nn.Linear, expert by expert.
            bound = weight.shape[1] ** -0.5
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
        """Weighted sum (N, D) of the chosen experts' outputs."""
        N, K = routing.expert_NK.shape
        order_P = routing.expert_NK.flatten().argsort(stable=True)
        counts_E = torch.bincount(routing.expert_NK.flatten(), minlength=self.num_experts)
        ends_E = counts_E.cumsum(0).to(torch.int32)

        dtype = _compute_dtype(x_ND)
        sorted_PD = x_ND.to(dtype)[order_P // K]
        hidden_PH = F.gelu(F.grouped_mm(sorted_PD, self.w1_EDH.to(dtype), offs=ends_E))
        output_PD = F.grouped_mm(hidden_PH, self.w2_EHD.to(dtype), offs=ends_E)

        back_P = torch.empty_like(order_P)
        back_P[order_P] = torch.arange(N * K, device=order_P.device)
        output_NKD = output_PD[back_P].view(N, K, -1)
        return (output_NKD * routing.weight_NK[..., None].to(dtype)).sum(1)


def _compute_dtype(x: torch.Tensor) -> torch.dtype:
    """Grouped products are not on autocast's list; follow it by hand."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
