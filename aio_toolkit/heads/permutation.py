"""Which estimate is which source. Letters: B batch, N sources, P permutations."""

import itertools

import torch


def best_order(cost_BNN: torch.Tensor) -> torch.Tensor:
    """For each estimate the target (B, N) that it is to meet, at the least total cost.

    Permutation-invariant training (Yu et al. 2017); all orders are tried, which is cheap for the
    few sources of a mixture.

    Args:
        cost_BNN: cost of estimate n (first) for target m (second).

    >>> best_order(torch.tensor([[[3.0, 1.0], [1.0, 2.0]]]))
    tensor([[1, 0]])
    """
    N = cost_BNN.shape[1]
    device = cost_BNN.device
    orders = list(itertools.permutations(range(N)))
    orders_PN = torch.tensor(orders, device=device)

    estimate_N = torch.arange(N, device=device)
    cost_BPN = cost_BNN[:, estimate_N, orders_PN]
    best_B = cost_BPN.sum(-1).argmin(1)
    return orders_PN[best_B]
