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
    """The rows that experts read: the chosen (token, expert) pairs sorted by expert, each group filled up.

    Rows that hold no pair are copies of some token. They are never read, and get no gradient.

    Attributes:
        slot_R: slot of each row's pair.
        real_R: 1.0 where a row holds a pair, else 0.0.
        row_NK: row of each slot's pair.
        active_NK: which choices are active; None: all.
        ends_E: int32 index after each expert's last row; equal neighbours are experts that nobody chose.
        dtype: type that experts compute in.
    """

    slot_R: torch.Tensor
    real_R: torch.Tensor
    row_NK: torch.Tensor
    active_NK: torch.Tensor | None
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
        y_NKX = y_RX.index_select(0, self.row_NK.flatten()).view(*self.row_NK.shape, -1)
        return y_NKX if self.active_NK is None else y_NKX * self.active_NK[..., None]

    def products(self, x_ND: torch.Tensor, y_RD: torch.Tensor) -> torch.Tensor:
        """Scalar product (N, K) of each token's vector with that of each of its rows; zero where not active.

        By what torch itself differentiates a weighted bag with: it writes no product of rows, whose fresh memory costs
        a CPU several times more than all else about it.
        """
        N, K = self.row_NK.shape
        token_S = torch.arange(N * K, device=x_ND.device) // K
        first_N = torch.arange(0, N * K, K, device=x_ND.device)
        product = torch.ops.aten._embedding_bag_per_sample_weights_backward
        y_NK = product(x_ND, y_RD, self.row_NK.flatten(), first_N, token_S, 0).view(N, K)
        return y_NK if self.active_NK is None else y_NK * self.active_NK

    @property
    def token_R(self) -> torch.Tensor:
        """Token of each row."""
        return self.slot_R // self.row_NK.shape[1]


def dispatch(routing: Routing, num_experts: int, dtype: torch.dtype) -> Dispatch:
    """Sort the pairs of a routing by expert, and by token within an expert, for experts that compute in `dtype`."""
    expert_S, active_NK = routing.expert_NK.flatten(), routing.active_NK
    if active_NK is None:
        slot_P = expert_S.argsort(stable=True)
    else:
        slot_A = active_NK.flatten().nonzero()[:, 0]
        slot_P = slot_A[expert_S[slot_A].argsort(stable=True)]
    device = expert_S.device
    align = ALIGN_BFLOAT16_ON_CPU if device.type == "cpu" and dtype == torch.bfloat16 else ALIGN
    expert_P = expert_S[slot_P]
    counts_E = torch.bincount(expert_P, minlength=num_experts)
    filled_E = -(-counts_E // align) * align
    ends_E = filled_E.cumsum(0)
    # How far each group has moved by the filling of those before it.
    moved_E = (ends_E - filled_E) - (counts_E.cumsum(0) - counts_E)
    row_P = torch.arange(len(slot_P), device=device) + moved_E[expert_P]
    # A GPU would stop to be asked for the number of rows; it gets as many as the worst case needs.
    most = -(-(len(slot_P) + num_experts * (align - 1)) // align) * align
    R = int(ends_E[-1]) if device.type == "cpu" else most
    slot_R = torch.zeros(R, dtype=torch.long, device=device).index_copy_(0, row_P, slot_P)
    real_R = torch.zeros(R, device=device).index_fill_(0, row_P, 1.0)
    row_S = torch.zeros_like(expert_S).index_copy_(0, slot_P, row_P)
    return Dispatch(slot_R, real_R, row_S.view_as(routing.expert_NK), active_NK, ends_E.to(torch.int32), dtype)


def grouped_linear(x_RX: torch.Tensor, weight_EXY: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    """Each expert's rows times its own matrix, (R, Y)."""
    return F.grouped_mm(x_RX, weight_EXY.to(x_RX.dtype), offs=ends_E)


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """Grouped products are not on autocast's list; it is followed by hand."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def real_frames(valid_BT: torch.Tensor) -> torch.Tensor:
    """Index (N,) of every real frame in the batch laid flat."""
    return valid_BT.flatten().nonzero()[:, 0]


def pack(x_BTX: torch.Tensor, frame_N: torch.Tensor) -> torch.Tensor:
    """The real frames (N, X) of a padded batch."""
    return _Pack.apply(x_BTX.flatten(0, 1), frame_N)


def unpack(y_NX: torch.Tensor, frame_N: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """A padded batch (B, T, X) of real frames, zero on padding."""
    return _Unpack.apply(y_NX, frame_N, valid_BT.numel()).view(*valid_BT.shape, -1)


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
        row_NK, active_NK = ctx.plan.row_NK, ctx.plan.active_NK
        weight_NK = None if active_NK is None else active_NK.to(grad_RD.dtype)
        return F.embedding_bag(row_NK, grad_RD, mode="sum", per_sample_weights=weight_NK), None


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
        grad_RD = grad_ND.index_select(0, plan.token_R)
        weight_R = weight_NK.flatten().index_select(0, plan.slot_R) * plan.real_R
        grad_RD *= weight_R[:, None].to(grad_RD.dtype)
        return grad_RD, plan.products(grad_ND, y_RD).to(weight_NK.dtype), None


class _Slots(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y_RX, plan):
        ctx.plan = plan
        return plan.read_rows(y_RX)

    @staticmethod
    def backward(ctx, grad_NKX):
        grad_RX = grad_NKX.flatten(0, 1).index_select(0, ctx.plan.slot_R)
        return grad_RX * ctx.plan.real_R[:, None].to(grad_RX.dtype), None


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_NKX, plan):
        ctx.plan = plan
        return x_NKX.flatten(0, 1).index_select(0, plan.slot_R)

    @staticmethod
    def backward(ctx, grad_RX):
        return ctx.plan.read_rows(grad_RX), None


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_SX, frame_N):
        ctx.save_for_backward(frame_N)
        ctx.size = len(x_SX)
        return x_SX.index_select(0, frame_N)

    @staticmethod
    def backward(ctx, grad_NX):
        return _place(grad_NX, *ctx.saved_tensors, ctx.size), None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y_NX, frame_N, size):
        ctx.save_for_backward(frame_N)
        return _place(y_NX, frame_N, size)

    @staticmethod
    def backward(ctx, grad_SX):
        return grad_SX.index_select(0, *ctx.saved_tensors), None, None


def _place(rows_NX: torch.Tensor, place_N: torch.Tensor, size: int) -> torch.Tensor:
    """A tensor (size, X) with rows in the given places and zeros elsewhere.

    Reading by the inverse is faster than writing; places without a row read the zeros after the last.
    """
    N = len(rows_NX)
    inverse_S = torch.full((size,), N, device=place_N.device)
    inverse_S.index_copy_(0, place_N, torch.arange(N, device=place_N.device))
    return F.pad(rows_NX, (0, 0, 0, 1)).index_select(0, inverse_S)
