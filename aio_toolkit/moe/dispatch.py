"""Tokens to experts and back: sort by expert, multiply in groups, put in place. Nothing is dropped.

Letters besides those of `moe.base`: S slots (token, choice), N * K of them; R rows that experts read; X, Y widths.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from aio_toolkit.moe.base import Routing

# Groups start at multiples of this many rows, as grouped products ask for 16 bytes. In bfloat16 on a CPU they start at
# multiples of more: a product of a new size costs more than the product itself, as its kernel is compiled anew. Random
# group sizes took 27 ms where multiples of 64 took 7. In float32 there is no such cost, and filling up groups has one.
ALIGN, ALIGN_BFLOAT16_ON_CPU = 8, 64


@dataclass
class Dispatch:
    """The rows that experts read: the active (token, expert) pairs sorted by expert, each group filled up.

    Rows that hold no pair are copies of some token. They are never read, and get no gradient.

    Attributes:
        slot_R: slot of each row's pair.
        real_R: 1.0 where a row holds a pair, else 0.0.
        row_NK: row of each slot's pair; some row where the choice is not active.
        active_NK: 1.0 where a choice is active, else 0.0.
        ends_E: int32 index after each expert's last row; equal neighbours are experts that nobody chose.
        dtype: type that experts compute in.
    """

    slot_R: torch.Tensor
    real_R: torch.Tensor
    row_NK: torch.Tensor
    active_NK: torch.Tensor
    ends_E: torch.Tensor
    dtype: torch.dtype

    def scatter(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Each token's copy (R, D) for every expert it visits, in the type that experts compute in."""
        return _Copies.apply(x_ND.to(self.dtype), self)

    def combine(self, y_RD: torch.Tensor, weight_NK: torch.Tensor) -> torch.Tensor:
        """Weighted sum (N, D) over each token's experts; choices that are not active must weigh nothing."""
        return _Sum.apply(y_RD, weight_NK, self)

    def to_slots(self, y_RX: torch.Tensor) -> torch.Tensor:
        """Rows back in their slots (N, K, X); zero where a choice is not active."""
        return _Slots.apply(y_RX, self)

    def from_slots(self, x_NKX: torch.Tensor) -> torch.Tensor:
        """Rows (R, X) of what stands in slots."""
        return _Rows.apply(x_NKX, self)

    def read_rows(self, y_RX: torch.Tensor) -> torch.Tensor:
        """What stands in the row of each slot (N, K, X)."""
        y_SX = weighted_rows(y_RX, self.row_NK.flatten(), self.active_NK.flatten())
        return y_SX.view(*self.row_NK.shape, -1)

    def products(self, x_ND: torch.Tensor, y_RD: torch.Tensor) -> torch.Tensor:
        """Scalar product (N, K) of each token's vector with that of each of its rows; zero where not active.

        By what torch itself differentiates a weighted bag with: it writes no product of rows, whose fresh memory costs
        a CPU several times more than all else about it.
        """
        N, K = self.row_NK.shape
        token_S = torch.arange(N * K, device=x_ND.device) // K
        first_N = torch.arange(0, N * K, K, device=x_ND.device)
        product = torch.ops.aten._embedding_bag_per_sample_weights_backward
        y_S = product(x_ND, y_RD, self.row_NK.flatten(), first_N, token_S, 0)
        return y_S.view(N, K) * self.active_NK

    @property
    def token_R(self) -> torch.Tensor:
        """Token of each row."""
        return self.slot_R // self.row_NK.shape[1]


def dispatch(routing: Routing, num_experts: int, dtype: torch.dtype) -> Dispatch:
    """Sort the active pairs of a routing by expert, and by token within an expert; experts compute in `dtype`."""
    device = routing.expert_NK.device
    # Choices that are not active go to one expert more, which comes last and is then left out.
    expert_S = routing.expert_NK.where(routing.active_NK, num_experts).flatten()
    slot_S = expert_S.argsort(stable=True)
    expert_S = expert_S[slot_S]
    first_E = torch.searchsorted(expert_S, torch.arange(num_experts + 1, device=device))
    align = ALIGN_BFLOAT16_ON_CPU if device.type == "cpu" and dtype == torch.bfloat16 else ALIGN
    filled_E = -(-first_E.diff() // align) * align
    ends_E = filled_E.cumsum(0)
    # A GPU would stop to be asked for the number of rows; it gets as many as the worst case needs.
    most = -(-(len(slot_S) + num_experts * (align - 1)) // align) * align
    R = int(ends_E[-1]) if device.type == "cpu" else most
    # How far each group has moved by the filling of those before it.
    moved_E = F.pad(ends_E - filled_E - first_E[:-1], (0, 1))
    row_S = torch.arange(len(slot_S), device=device) + moved_E[expert_S]
    active_S = expert_S < num_experts
    place_S = row_S.where(active_S, R)
    slot_R = torch.zeros(R + 1, dtype=torch.long, device=device).index_copy_(0, place_S, slot_S)[:R]
    real_R = torch.zeros(R + 1, device=device).index_fill_(0, place_S, 1.0)[:R]
    row_NK = torch.zeros_like(row_S).index_copy_(0, slot_S, row_S.where(active_S, 0)).view_as(routing.expert_NK)
    return Dispatch(slot_R, real_R, row_NK, routing.active_NK.float(), ends_E.to(torch.int32), dtype)


def grouped_linear(x_RX: torch.Tensor, weight_EXY: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    """Each expert's rows times its own matrix, (R, Y)."""
    return F.grouped_mm(x_RX, weight_EXY.to(x_RX.dtype), offs=ends_E)


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """Grouped products are not on autocast's list; it is followed by hand."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def weighted_rows(x_IX: torch.Tensor, index_R: torch.Tensor, weight_R: torch.Tensor) -> torch.Tensor:
    """Chosen rows (R, X), each times a number, read and written once: bags of one row."""
    return F.embedding_bag(index_R[:, None], x_IX, mode="sum", per_sample_weights=weight_R[:, None].to(x_IX.dtype))


# The moves below are autograd functions of their own because each row is read, or written, by known others: their
# gradients are selections and bag sums, ten times faster on a CPU than the scattered additions that autograd would do,
# and the same on every run of a GPU.


class _Copies(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_ND, plan):
        ctx.plan = plan
        return x_ND.index_select(0, plan.token_R)

    @staticmethod
    def backward(ctx, grad_RD):
        weight_NK = ctx.plan.active_NK.to(grad_RD.dtype)
        return F.embedding_bag(ctx.plan.row_NK, grad_RD, mode="sum", per_sample_weights=weight_NK), None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y_RD, weight_NK, plan):
        ctx.save_for_backward(y_RD, weight_NK)
        ctx.plan = plan
        return F.embedding_bag(plan.row_NK, y_RD, mode="sum", per_sample_weights=weight_NK.to(y_RD.dtype))

    @staticmethod
    def backward(ctx, grad_ND):
        y_RD, weight_NK = ctx.saved_tensors
        plan = ctx.plan
        weight_R = weight_NK.flatten().index_select(0, plan.slot_R) * plan.real_R
        grad_RD = weighted_rows(grad_ND, plan.token_R, weight_R)
        return grad_RD, plan.products(grad_ND, y_RD).to(weight_NK.dtype), None


class _Slots(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y_RX, plan):
        ctx.plan = plan
        return plan.read_rows(y_RX)

    @staticmethod
    def backward(ctx, grad_NKX):
        return weighted_rows(grad_NKX.flatten(0, 1), ctx.plan.slot_R, ctx.plan.real_R), None


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_NKX, plan):
        ctx.plan = plan
        return x_NKX.flatten(0, 1).index_select(0, plan.slot_R)

    @staticmethod
    def backward(ctx, grad_RX):
        return ctx.plan.read_rows(grad_RX), None
