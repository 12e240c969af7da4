"""The weights of experts: one matrix each, multiplied in groups.

Letters besides those of `moe.base`: R rows, sorted by expert; X, Y widths.
"""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.errors import AioError


def expert_matrices(num_experts: int, rows: int, columns: int) -> nn.Parameter:
    """One matrix an expert (E, rows, columns), initialised as `nn.Linear` would.

    >>> expert_matrices(4, 16, 8).abs().max().item() <= 0.25
    True
    """
    bound = rows**-0.5
    weight_EXY = torch.empty(num_experts, rows, columns)
    weight_EXY.uniform_(-bound, bound)
    return nn.Parameter(weight_EXY)


def grouped_linear(
    x_RX: torch.Tensor, weight_EXY: torch.Tensor, ends_E: torch.Tensor
) -> torch.Tensor:
    """Each expert's rows times its own matrix, (R, Y).

    Args:
        x_RX: rows.
        weight_EXY: matrices; widths are multiples of 8.
        ends_E: int32 index after each expert's last row, multiples of 8.

    >>> x_RX = torch.ones(16, 8)
    >>> weight_EXY = torch.stack([torch.eye(8), 2 * torch.eye(8)])
    >>> y_RX = grouped_linear(x_RX, weight_EXY, torch.tensor([8, 16], dtype=torch.int32))
    >>> y_RX[:, 0].tolist() == 8 * [1.0] + 8 * [2.0]
    True
    """
    weight_EXY = weight_EXY.to(x_RX.dtype)
    return F.grouped_mm(x_RX, weight_EXY, offs=ends_E)


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """The type that products of `x` are to be computed in.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     compute_dtype(torch.zeros(1))
    torch.bfloat16
    """
    # Grouped products are not on autocast's list, so it is followed by hand.
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def check_multiples_of_8(**sizes: int) -> None:
    """Refuse sizes that grouped matrix products do not take.

    Raises:
        AioError: a size is not a multiple of 8.

    >>> check_multiples_of_8(width=192, ffn_width=288)
    """
    for name, size in sizes.items():
        if size % 8:
            raise AioError(f"grouped matrix products need multiples of 8, not {name} = {size}.")
