"""Receptive fields against what gradients say."""

import pytest
import torch

from aio_toolkit.codec.convolutions import context, receptive_field
from aio_toolkit.codec.dac import DacConfig, build_dac

CONFIG = DacConfig(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_nothing_outside_the_context_is_heard(part):
    torch.manual_seed(0)
    model = build_dac(CONFIG).double()
    network, channels, step = (model.encoder, 1, 30) if part == "encoder" else (model.decoder, 8, 1)
    steps = 4 * context(network) // step * step
    x = torch.randn(1, channels, steps, dtype=torch.double, requires_grad=True)
    y = network(x)
    middle = y.shape[-1] // 2
    y[..., middle].sum().backward()
    heard = x.grad.abs().sum((0, 1)).nonzero()[:, 0]
    begin, end = middle * steps / y.shape[-1], (middle + 1) * steps / y.shape[-1]
    assert heard[0] >= begin - context(network)
    assert heard[-1] <= end + context(network)
    assert heard[-1] - heard[0] + 1 <= receptive_field(network)


def test_the_receptive_field_of_one_dilated_convolution():
    assert receptive_field(torch.nn.Conv1d(1, 1, 7, dilation=3)) == 19
