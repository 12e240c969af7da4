"""The weights of experts: their start, their product, their type."""

import torch
from torch import nn

from aio_toolkit.moe.matrices import compute_dtype, expert_matrices, grouped_linear


def test_matrices_start_as_those_of_a_linear_layer_do():
    torch.manual_seed(0)
    ours = expert_matrices(6, 64, 48)
    linear = nn.Linear(64, 6 * 48).weight
    assert ours.shape == (6, 64, 48)
    torch.testing.assert_close(ours.abs().max(), linear.abs().max(), atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.std(), linear.std(), atol=0, rtol=0.03)


def test_grouped_products_equal_one_product_an_expert():
    torch.manual_seed(0)
    x_RX, weight_EXY = torch.randn(32, 16), torch.randn(3, 16, 24)
    ends_E = torch.tensor([8, 8, 32], dtype=torch.int32)
    want_RY = torch.cat([x_RX[:8] @ weight_EXY[0], x_RX[8:] @ weight_EXY[2]])
    got_RY = grouped_linear(x_RX, weight_EXY, ends_E)
    torch.testing.assert_close(got_RY, want_RY, atol=1e-5, rtol=1e-5)


def test_experts_compute_in_the_type_of_autocast_or_of_their_input():
    assert compute_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert compute_dtype(torch.zeros(1)) == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        assert compute_dtype(torch.zeros(1)) == torch.float32
