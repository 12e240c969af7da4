"""Bags of rows against loops; the moves themselves are tested with the plan they follow."""

import torch

from aio_toolkit.moe.moves import bag_sum, weighted_rows


def test_a_bag_is_the_weighted_sum_of_its_rows():
    y_RD, weight_NK = torch.randn(5, 3), torch.randn(4, 2)
    row_NK = torch.tensor([[0, 4], [2, 2], [1, 0], [3, 1]])
    got_ND = bag_sum(y_RD, row_NK, weight_NK)
    for n, rows in enumerate(row_NK.tolist()):
        want_D = weight_NK[n, 0] * y_RD[rows[0]] + weight_NK[n, 1] * y_RD[rows[1]]
        torch.testing.assert_close(got_ND[n], want_D)


def test_rows_are_weighed_in_their_own_type():
    x_IX, index_R = torch.randn(4, 3).bfloat16(), torch.tensor([3, 0, 3])
    got_RX = weighted_rows(x_IX, index_R, torch.tensor([2.0, 0.0, -1.0]))
    assert got_RX.dtype == torch.bfloat16
    assert torch.equal(got_RX, torch.stack([2 * x_IX[3], 0 * x_IX[0], -x_IX[3]]))


def test_weights_of_half_precision_rows_still_sum_to_one():
    ones_RD = torch.ones(64, 8).bfloat16()
    row_NK = torch.arange(64).view(32, 2)
    torch.manual_seed(0)
    weight_NK = torch.rand(32, 2)
    weight_NK = weight_NK / weight_NK.sum(1, keepdim=True)
    rounded_N = weight_NK.bfloat16().float().sum(1)
    assert (rounded_N - 1).abs().max() > 1e-3
    assert torch.equal(bag_sum(ones_RD, row_NK, weight_NK), torch.ones(32, 8).bfloat16())
