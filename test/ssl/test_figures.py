"""How much vectors differ."""

import pytest
import torch

from aio_toolkit.ssl._figures import spread


def test_spread_is_one_for_directions_at_random_and_zero_for_one_direction():
    torch.manual_seed(0)
    assert spread(torch.randn(5000, 32)).item() == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(50, 32) * torch.rand(50, 1)).item() == pytest.approx(0, abs=1e-5)
