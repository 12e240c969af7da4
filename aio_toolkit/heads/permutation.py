"""Which estimate is which source. Letters: B batch, N sources."""

import itertools

import torch


def best_order(cost_BNN: torch.Tensor) -> torch.Tensor:
    """For each estimate the target (B, N) it is to meet, at the least total cost (PIT, Yu et al.
    2017).

    Args:
        cost_BNN: cost of estimate n (first) for target m (second).

    >>> best_order(torch.tensor([[[3.0, 1.0], [1.0, 2.0]]]))
    tensor([[1, 0]])
    """
    N = cost_BNN.shape[1]
    orders_PN = torch.tensor(list(itertools.permutations(range(N))), device=cost_BNN.device)
    estimate_N = torch.arange(N, device=cost_BNN.device)
    cost_BP = cost_BNN[:, estimate_N, orders_PN].sum(-1)
    return orders_PN[cost_BP.argmin(1)]
