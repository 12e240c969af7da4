"""Tokens to experts and back: sort by expert, multiply in groups, put in place. Nothing is dropped.

Letters besides those of `moe.base`: S slots, which are the N * K pairs of a token and one of its
choices, laid flat; R rows that experts read; X, Y widths.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from aio_toolkit.moe import moves
from aio_toolkit.moe.base import Routing

# Groups start at multiples of this many rows, as grouped products ask for 16 bytes.
ALIGN = 8
# In bfloat16 on a CPU a product of a new size costs more than the product itself, as its kernel is
# compiled anew: random group sizes took 27 ms where multiples of 64 took 7. In float32 there is no
# such cost, and padding groups has one.
ALIGN_BFLOAT16_ON_CPU = 64

# The operator is private: a torch other than the pinned one may lack it.
_BAG_WEIGHTS_BACKWARD = getattr(torch.ops.aten, "_embedding_bag_per_sample_weights_backward", None)


@dataclass
class Dispatch:
    """The rows that experts read: active pairs of token and expert, by expert, groups padded.

    Rows of padding are copies of some token. They are never read, and get no gradient.

    Attributes:
        slot_R: slot of each row's pair.
        is_real_R: 1.0 where a row holds a pair, 0.0 where it is padding.
        row_NK: row of each slot's pair; some row where the choice is not active.
        is_active_NK: 1.0 where a choice is active, else 0.0.
        ends_E: int32 index after each expert's last row; equal neighbours are experts that nobody
            chose.
        dtype: type that experts compute in.

    Three tokens visit two experts. Token 0 goes to expert 1; token 1 to both; token 2 to expert 0.
    The second choices of tokens 0 and 2 are not active:

    >>> expert_NK = torch.tensor([[1, 0], [0, 1], [0, 1]])
    >>> active_NK = torch.tensor([[True, False], [True, True], [True, False]])
    >>> weight_NK = torch.tensor([[1.0, 0.0], [0.75, 0.25], [1.0, 0.0]])
    >>> logit_NE = torch.zeros(3, 2)
    >>> routing = Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE)
    >>> plan = dispatch(routing, 2, torch.float32)

    Expert 0 reads rows 0 to 7, of which two are real: tokens 1 and 2. Expert 1 reads rows 8 to 15,
    where tokens 0 and 1 are:

    >>> plan.ends_E.tolist()
    [8, 16]
    >>> is_real_R = plan.is_real_R.bool()
    >>> is_real_R.nonzero()[:, 0].tolist(), plan.token_R[is_real_R].tolist()
    ([0, 1, 8, 9], [1, 2, 0, 1])

    Seen from the slots, token 0 is in row 8, token 1 in rows 0 and 9, token 2 in row 1:

    >>> plan.row_NK[active_NK].tolist()
    [8, 0, 9, 1]

    Let expert 0 return its input and expert 1 ten times its input. Token 1 gets
    0.75 * 2 + 0.25 * 20:

    >>> x_RD = plan.scatter(torch.tensor([[1.0], [2.0], [3.0]]))
    >>> y_RD = torch.cat([x_RD[:8], 10 * x_RD[8:]])
    >>> plan.combine(y_RD, routing.weight_NK).tolist()
    [[10.0], [6.5], [3.0]]
    """

    slot_R: torch.Tensor
    is_real_R: torch.Tensor
    row_NK: torch.Tensor
    is_active_NK: torch.Tensor
    ends_E: torch.Tensor
    dtype: torch.dtype

    @property
    def token_R(self) -> torch.Tensor:
        """Token of each row."""
        K = self.row_NK.shape[1]
        return self.slot_R // K

    def scatter(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Each token's copy (R, D) for every expert it visits, in the type experts compute in."""
        return moves.TokensToRows.apply(x_ND.to(self.dtype), self)

    def combine(self, y_RD: torch.Tensor, weight_NK: torch.Tensor) -> torch.Tensor:
        """Weighted sum (N, D) over each token's experts; inactive choices must weigh nothing."""
        return moves.RowsToTokens.apply(y_RD, weight_NK, self)

    def to_slots(self, y_RX: torch.Tensor) -> torch.Tensor:
        """Rows back in their slots (N, K, X); zero where a choice is not active."""
        return moves.RowsToSlots.apply(y_RX, self)

    def from_slots(self, x_NKX: torch.Tensor) -> torch.Tensor:
        """Rows (R, X) of what stands in slots."""
        return moves.SlotsToRows.apply(x_NKX, self)

    def read_rows(self, y_RX: torch.Tensor) -> torch.Tensor:
        """What stands in the row of each slot (N, K, X); zero where a choice is not active."""
        N, K = self.row_NK.shape
        row_S = self.row_NK.flatten()
        is_active_S = self.is_active_NK.flatten()
        y_SX = moves.weighted_rows(y_RX, row_S, is_active_S)
        return y_SX.view(N, K, -1)

    def products(self, x_ND: torch.Tensor, y_RD: torch.Tensor) -> torch.Tensor:
        """Scalar products (N, K) of a token's vector with each of its rows; zero where not active.

        On a CPU it calls the backward kernel of `embedding_bag`'s weights, which never materialises
        the products of elements: their allocation would cost more than the arithmetic. The kernel
        of a GPU knows no bfloat16.
        """
        if _BAG_WEIGHTS_BACKWARD is None or x_ND.device.type != "cpu":
            return self.plain_products(x_ND, y_RD)
        N, K = self.row_NK.shape
        row_S = self.row_NK.flatten()
        # A bag for each token, which starts at its first slot.
        slot_S = torch.arange(N * K, device=x_ND.device)
        token_S = slot_S // K
        first_slot_N = slot_S[::K].contiguous()
        sum_mode = 0
        product_S = _BAG_WEIGHTS_BACKWARD(
            x_ND,
            y_RD,
            row_S,
            first_slot_N,
            token_S,
            sum_mode,
        )
        return product_S.view(N, K) * self.is_active_NK

    def plain_products(self, x_ND: torch.Tensor, y_RD: torch.Tensor) -> torch.Tensor:
        """The same without the private operator, at the price of a tensor (N, K, D)."""
        y_NKD = y_RD[self.row_NK]
        product_NKD = x_ND[:, None] * y_NKD
        return product_NKD.sum(-1) * self.is_active_NK


def dispatch(routing: Routing, num_experts: int, dtype: torch.dtype) -> Dispatch:
    """Sort the active pairs of a routing by expert, then by token; an example is at `Dispatch`.

    1. Sort the slots by expert.
    2. Find where each expert's pairs start; pad its rows to a multiple of the alignment.
    3. Give every slot its row: its place in the sorted order, and the offset caused by padding.
    4. Turn that map around: which slot each row holds, and whether it holds one.

    Args:
        routing: where each token goes.
        num_experts: experts E.
        dtype: type that experts compute in.
    """
    device = routing.expert_NK.device
    # Choices that are not active go to one expert more, which sorts last and is left out.
    expert_NK = routing.expert_NK.where(routing.active_NK, num_experts)
    expert_S = expert_NK.flatten()
    # Stable: an expert's tokens stay in their order, so its sums are the same on every run.
    slot_S = expert_S.argsort(stable=True)
    expert_S = expert_S[slot_S]
    is_active_S = expert_S < num_experts

    align = _alignment(device, dtype)
    edges = torch.arange(num_experts + 1, device=device)
    start_E1 = torch.searchsorted(expert_S, edges)
    num_rows_E = _round_up(start_E1.diff(), align)
    ends_E = num_rows_E.cumsum(0)
    R = _rows_to_allocate(ends_E, len(slot_S), align)

    # Offset of each group caused by the padding of the groups before it.
    pad_offset_E = ends_E - num_rows_E - start_E1[:-1]
    pad_offset_E1 = F.pad(pad_offset_E, (0, 1))
    place_S = torch.arange(len(slot_S), device=device)
    row_S = place_S + pad_offset_E1[expert_S]
    row_NK = _scattered(row_S.where(is_active_S, 0), slot_S, len(slot_S))

    # Slots that are not active share one row more, which is cut off.
    row_S = row_S.where(is_active_S, R)
    slot_R = _scattered(slot_S, row_S, R + 1)[:R]
    is_real_R = _scattered(torch.ones(len(slot_S), device=device), row_S, R + 1)[:R]

    # The types are those that bag sums and grouped products ask for.
    return Dispatch(
        slot_R=slot_R,
        is_real_R=is_real_R,
        row_NK=row_NK.view_as(expert_NK),
        is_active_NK=routing.active_NK.float(),
        ends_E=ends_E.to(torch.int32),
        dtype=dtype,
    )


def _alignment(device: torch.device, dtype: torch.dtype) -> int:
    compiles_kernels = device.type == "cpu" and dtype == torch.bfloat16
    return ALIGN_BFLOAT16_ON_CPU if compiles_kernels else ALIGN


def _rows_to_allocate(ends_E: torch.Tensor, num_slots: int, align: int) -> int:
    if ends_E.device.type == "cpu":
        return int(ends_E[-1])
    # Reading the number of rows would synchronise the GPU, so the worst case is allocated there.
    most_padding = len(ends_E) * (align - 1)
    return _round_up(num_slots + most_padding, align)


def _scattered(value_S: torch.Tensor, index_S: torch.Tensor, size: int) -> torch.Tensor:
    """A vector of this size with each value at its index, and zeros elsewhere."""
    return value_S.new_zeros(size).index_copy_(0, index_S, value_S)


def _round_up[Number: (int, torch.Tensor)](number: Number, multiple: int) -> Number:
    return -(-number // multiple) * multiple
