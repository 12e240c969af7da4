"""Which estimate is which source. Letters: B batch, N sources."""

import torch


def best_order(cost_BNN: torch.Tensor) -> torch.Tensor:
    """For each estimate the target (B, N) that it is to meet, at the least total cost.

    Permutation-invariant training (Yu et al. 2017), by the Hungarian method.

    Args:
        cost_BNN: cost of estimate n (first) for target m (second).

    >>> best_order(torch.tensor([[[3.0, 1.0], [1.0, 2.0]]]))
    tensor([[1, 0]])
    """
    # Slow to import.
    from scipy.optimize import linear_sum_assignment

    orders = []
    for cost_NN in cost_BNN.detach().double().cpu().numpy():
        # Rows come back in their order.
        _, target_N = linear_sum_assignment(cost_NN)
        orders.append(torch.from_numpy(target_N))
    return torch.stack(orders).to(cost_BNN.device)
