"""Which estimate meets which source, against exhaustive search."""

import itertools

import pytest
import torch

from aio_toolkit.heads.permutation import best_order


@pytest.mark.parametrize("num_sources", [1, 2, 3, 4])
def test_the_best_order_is_that_of_an_exhaustive_search(num_sources):
    torch.manual_seed(0)
    cost_BNN = torch.randn(5, num_sources, num_sources)
    order_BN = best_order(cost_BNN)
    for cost_NN, order_N in zip(cost_BNN, order_BN, strict=True):
        orders = itertools.permutations(range(num_sources))
        total = {order: sum(cost_NN[n, m] for n, m in enumerate(order)) for order in orders}
        assert tuple(order_N.tolist()) == min(total, key=total.get)


def test_the_estimate_comes_first_and_the_target_second():
    """Estimate 0 meets target 2, which is not what target 0 meets."""
    cost_NN = torch.tensor([[9.0, 9.0, 0.0], [0.0, 9.0, 9.0], [9.0, 0.0, 9.0]])
    assert best_order(cost_NN[None]).tolist() == [[2, 0, 1]]


def test_what_costs_the_same_is_left_where_it_is():
    assert best_order(torch.ones(2, 3, 3)).tolist() == [[0, 1, 2]] * 2
