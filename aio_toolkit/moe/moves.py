"""How vectors move between tokens, their slots and the rows of experts, with exact gradients.

Each move is an autograd function of its own because each row is read, or written, by known others:
the gradients are selections and bag sums. On a CPU these are ten times faster than the scattered
additions of autograd, and on a GPU they are the same on every run.

The letters are those of `moe.dispatch`, whose `Dispatch` is the plan of the moves.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from aio_toolkit.moe.dispatch import Dispatch


class TokensToRows(torch.autograd.Function):
    """A copy of its token in each row."""

    @staticmethod
    def forward(ctx: Any, x_ND: torch.Tensor, plan: "Dispatch") -> torch.Tensor:
        """Rows (R, D)."""
        ctx.plan = plan
        return x_ND.index_select(0, plan.token_R)

    @staticmethod
    def backward(ctx: Any, grad_RD: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Sum over each token's rows."""
        plan = ctx.plan
        # Slots that are not active name some row all the same, which must not count.
        grad_ND = bag_sum(grad_RD, plan.row_NK, plan.is_active_NK)
        return grad_ND, None


class RowsToTokens(torch.autograd.Function):
    """The weighted sum of each token's rows."""

    @staticmethod
    def forward(
        ctx: Any, y_RD: torch.Tensor, weight_NK: torch.Tensor, plan: "Dispatch"
    ) -> torch.Tensor:
        """Tokens (N, D)."""
        ctx.save_for_backward(y_RD, weight_NK)
        ctx.plan = plan
        return bag_sum(y_RD, plan.row_NK, weight_NK)

    @staticmethod
    def backward(ctx: Any, grad_ND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """The token's gradient times the weight for a row, times the row for a weight."""
        y_RD, weight_NK = ctx.saved_tensors
        plan = ctx.plan
        weight_S = weight_NK.flatten()
        # Rows of padding hold a copy of some slot, whose weight is not theirs.
        weight_R = weight_S.index_select(0, plan.slot_R) * plan.is_real_R
        grad_RD = weighted_rows(grad_ND, plan.token_R, weight_R)
        grad_NK = plan.products(grad_ND, y_RD)
        return grad_RD, grad_NK.to(weight_NK.dtype), None


class RowsToSlots(torch.autograd.Function):
    """Each slot's row; zero where the choice is not active."""

    @staticmethod
    def forward(ctx: Any, y_RX: torch.Tensor, plan: "Dispatch") -> torch.Tensor:
        """Slots (N, K, X)."""
        ctx.plan = plan
        return plan.read_rows(y_RX)

    @staticmethod
    def backward(ctx: Any, grad_NKX: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient of its slot for a row; zero for padding."""
        plan = ctx.plan
        grad_SX = grad_NKX.flatten(0, 1)
        grad_RX = weighted_rows(grad_SX, plan.slot_R, plan.is_real_R)
        return grad_RX, None


class SlotsToRows(torch.autograd.Function):
    """A copy of its slot in each row."""

    @staticmethod
    def forward(ctx: Any, x_NKX: torch.Tensor, plan: "Dispatch") -> torch.Tensor:
        """Rows (R, X)."""
        ctx.plan = plan
        x_SX = x_NKX.flatten(0, 1)
        return x_SX.index_select(0, plan.slot_R)

    @staticmethod
    def backward(ctx: Any, grad_RX: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient of its row for a slot; zero where the choice is not active."""
        return ctx.plan.read_rows(grad_RX), None


def bag_sum(y_RD: torch.Tensor, row_NK: torch.Tensor, weight_NK: torch.Tensor) -> torch.Tensor:
    """Weighted sums (N, D) over the named rows.

    >>> y_RD = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> bag_sum(y_RD, torch.tensor([[0, 1]]), torch.tensor([[0.5, 2.0]])).tolist()
    [[6.5, 9.0]]
    """
    # A bag wants its weights in the type of what it adds up. In half precision a token's weights,
    # each rounded, would sum to 0.4 % more or less than one: there rows are added up in float32.
    sum_ND = F.embedding_bag(
        row_NK, y_RD.to(weight_NK.dtype), mode="sum", per_sample_weights=weight_NK
    )
    return sum_ND.to(y_RD.dtype)


def weighted_rows(
    x_IX: torch.Tensor, index_R: torch.Tensor, weight_R: torch.Tensor
) -> torch.Tensor:
    """Chosen rows (R, X), each times a number.

    >>> x_IX = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> weighted_rows(x_IX, torch.tensor([1, 0, 1]), torch.tensor([1.0, 2.0, 0.0])).tolist()
    [[3.0, 4.0], [2.0, 4.0], [0.0, 0.0]]
    """
    # Bags of one row: selection and product read and write each row once.
    index_R1 = index_R[:, None]
    weight_R1 = weight_R[:, None].to(x_IX.dtype)
    return F.embedding_bag(index_R1, x_IX, mode="sum", per_sample_weights=weight_R1)
