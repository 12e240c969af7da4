"""Receptive fields against what gradients say, and padded rows against single ones."""

import pytest
import torch

from aio_toolkit.codec.convolutions import context, fit_length, receptive_field, run_ragged
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac

CONFIG = Dac.Config(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


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


@pytest.mark.parametrize("length", [1, 2, 7, 19, 20])
def test_a_padded_row_gives_what_it_gives_alone(length):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv1d(2, 3, 7, stride=3, padding=6, dilation=2),
        torch.nn.Tanh(),
        torch.nn.ConvTranspose1d(3, 2, 6, stride=3, padding=2),
    ).double()
    rows_BXS = torch.randn(2, 2, 20, dtype=torch.double)
    alone = network(rows_BXS[1:, :, :length])[0]
    ragged = run_ragged(network, rows_BXS, torch.tensor([20, length]))[1]
    steps = alone.shape[-1]
    torch.testing.assert_close(ragged[:, :steps], alone)
    assert not ragged[:, steps:].any()


def test_no_hook_is_left_after_an_error():
    network = torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3), torch.nn.Linear(1, 1))
    with pytest.raises(RuntimeError):
        run_ragged(network, torch.zeros(1, 1, 9), torch.tensor([9]))
    assert not network[0]._forward_hooks and not network[0]._forward_pre_hooks


@pytest.mark.parametrize("num_samples", [1, 3, 5])
def test_waves_are_cropped_or_padded_at_their_end(num_samples):
    wave_BS = torch.tensor([[1.0, 2.0, 3.0]])
    want = [1.0, 2.0, 3.0, 0.0, 0.0][:num_samples]
    assert fit_length(wave_BS, num_samples).tolist() == [want]
