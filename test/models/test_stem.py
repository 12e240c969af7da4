"""The stem against a slow convolution; what reaches a frame."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.layers import valid_frames
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.models.stem import Stem


@pytest.mark.parametrize("kernel", [1, 5])
def test_the_stem_sees_its_frames_and_no_padding(kernel):
    torch.manual_seed(0)
    stem, x_BTF = Stem(6, 16, kernel), torch.randn(1, 20, 6)
    valid_BT = valid_frames(torch.tensor([15]), 20)
    before = stem(x_BTF, valid_BT)
    x_BTF[:, 15:] = 9.0
    torch.testing.assert_close(stem(x_BTF, valid_BT)[:, :15], before[:, :15])
    x_BTF[:, 7] += 1.0
    changed = (stem(x_BTF, valid_BT) - before)[0, :15].abs().amax(1) > 1e-6
    assert changed.nonzero()[:, 0].tolist() == list(range(7 - kernel // 2, 8 + kernel // 2))


def test_a_kernel_of_one_is_a_linear_layer_alone():
    stem, x_BTF = Stem(5, 7, 1), torch.randn(2, 9, 5)
    assert torch.equal(stem(x_BTF, valid_frames(torch.tensor([9, 4]), 9)), stem.linear(x_BTF))
    assert set(stem.state_dict()) == {"linear.weight", "linear.bias"}


@torch.no_grad()
def test_a_longer_kernel_adds_a_depthwise_convolution():
    torch.manual_seed(0)
    stem, x_BTF = Stem(5, 7, 3), torch.randn(1, 9, 5)
    x_TD = stem.linear(x_BTF[0, :6])
    expected_TD = torch.empty_like(x_TD)
    for t in range(6):
        sum_D = torch.zeros(7)
        for k in (-1, 0, 1):
            if 0 <= t + k < 6:
                sum_D += stem.depthwise_KD[k + 1] * x_TD[t + k]
        expected_TD[t] = x_TD[t] + stem.out(F.gelu(sum_D))
    got_TD = stem(x_BTF, valid_frames(torch.tensor([6]), 9))[0, :6]
    torch.testing.assert_close(got_TD, expected_TD, atol=1e-5, rtol=1e-5)


def test_an_even_kernel_is_named():
    with pytest.raises(AioError, match="key 'stem_kernel' must be at least 1 and odd, not 2"):
        from_values(SslEncoder.Config, {"stem_kernel": 2}, "train.yaml")
