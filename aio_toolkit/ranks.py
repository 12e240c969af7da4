"""What the processes of one training run, its ranks, have to agree on.

Data-parallel training averages gradients and nothing else: whatever a rank changes by itself, from
what it alone has seen, lets the ranks drift apart. All ranks have to call these functions alike.
"""

import torch
import torch.distributed as dist
from torch import nn


def sum_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all ranks, without gradient.

    >>> sum_over_ranks(torch.tensor([3, 1]))  # a single process
    tensor([3, 1])
    """
    total = x.detach().clone()
    if _are_several():
        dist.all_reduce(total)
    return total


def of_first_rank(x: torch.Tensor) -> torch.Tensor:
    """The tensor, equally large on all ranks, that the first rank has; without gradient.

    >>> of_first_rank(torch.tensor([3, 1]))  # a single process
    tensor([3, 1])
    """
    shared = x.detach().clone(memory_format=torch.contiguous_format)
    if _are_several():
        dist.broadcast(shared, src=0)
    return shared


@torch.no_grad()
def follow_first_rank(module: nn.Module) -> None:
    """Give a module the parameters and buffers that it has on the first rank.

    >>> follow_first_rank(nn.Linear(2, 3))  # a single process: nothing happens
    """
    if not _are_several():
        return
    for value in (*module.parameters(), *module.buffers()):
        value.copy_(of_first_rank(value))


def _are_several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
