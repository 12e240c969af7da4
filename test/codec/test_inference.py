"""The rearranged codec against the package's layers and model."""

import pytest
import torch
from torch import nn

from aio_toolkit.codec import inference
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac
from aio_toolkit.codec.inference import Convolution, ResidualUnit, Snake, TransposedConvolution

CONFIG = Dac.Config(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


@pytest.fixture(autouse=True)
def no_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(
        actual, expected, atol=tolerance * expected.abs().max().item(), rtol=0
    )


def with_random_snakes(module):
    from dac.nn.layers import Snake1d

    for layer in module.modules():
        if isinstance(layer, Snake1d):
            layer.alpha.data.uniform_(-2, 3)
    return module


@pytest.mark.parametrize("layout", ["steps together", "channels together"])
def test_the_activation_is_bit_equal_to_the_packages(layout):
    from dac.nn.layers import Snake1d

    theirs = with_random_snakes(Snake1d(6))
    x_BXS = torch.randn(2, 6, 1001) * 4
    if layout == "channels together":
        x_BXS = x_BXS.transpose(1, 2).contiguous().transpose(1, 2)
    out_BXS = torch.empty_like(x_BXS)
    assert torch.equal(Snake(theirs.alpha)(x_BXS), theirs(x_BXS))
    Snake(theirs.alpha)(x_BXS, out_BXS)
    assert torch.equal(out_BXS, theirs(x_BXS))


@pytest.mark.parametrize("S", [9, 100, 1001])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "dilation"), [(1, 8, 7, 1, 1), (6, 5, 3, 2, 4)]
)
def test_a_convolution_is_torch_s(S, inputs, outputs, kernel, stride, dilation):
    theirs = nn.Conv1d(inputs, outputs, kernel, stride, padding=3, dilation=dilation)
    x_BXS = torch.randn(2, inputs, S)
    close(Convolution(theirs)(x_BXS), theirs(x_BXS))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (10, 5)])
def test_a_transposed_convolution_is_torch_s(kernel, stride):
    theirs = nn.ConvTranspose1d(6, 5, kernel, stride, padding=(stride + 1) // 2)
    x_BXS = torch.randn(2, 6, 77)
    close(TransposedConvolution(theirs)(x_BXS), theirs(x_BXS))


@pytest.mark.parametrize("S", [1, 26, 27, 28, 200])
@pytest.mark.parametrize("stretch", [1, 50 * 12 * 4, 1 << 20])
def test_a_residual_unit_in_stretches_is_the_packages_whole(S, stretch, monkeypatch):
    from dac.model.dac import ResidualUnit as TheirUnit

    monkeypatch.setattr(inference, "STRETCH", stretch)
    theirs = with_random_snakes(TheirUnit(6, dilation=9))
    ours = with_random_snakes(TheirUnit(6, dilation=9))
    ours.load_state_dict(theirs.state_dict())
    inference.fold_weight_norm(ours)
    x_BXS = torch.randn(2, 6, S)
    close(ResidualUnit(ours)(x_BXS), theirs(x_BXS))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("S", [30, 3030])
def test_a_prepared_codec_is_the_package_s(rows, S):
    theirs, ours = with_random_snakes(build_dac(CONFIG)).eval(), build_dac(CONFIG).eval()
    ours.load_state_dict(theirs.state_dict())
    inference.prepare(ours)
    wave_B1S = torch.randn(rows, 1, S)
    latents_BCT = theirs.encoder(wave_B1S)
    close(ours.encoder(wave_B1S), latents_BCT)
    close(ours.decoder(latents_BCT), theirs.decoder(latents_BCT))


def test_every_layer_is_replaced():
    model = build_dac(CONFIG)
    inference.prepare(model)
    plain = nn.Conv1d, nn.ConvTranspose1d
    assert not [
        layer
        for net in (model.encoder, model.decoder)
        for layer in net.modules()
        if type(layer) in plain
    ]
    assert not [layer for layer in model.modules() if hasattr(layer, "weight_g")]


def test_lengths_are_rounded_to_few_that_are_little_more():
    rounded = [inference._rounded(steps) for steps in range(1, 10_000)]
    assert all(
        steps <= more < max(1.25 * steps, steps + 16) for steps, more in enumerate(rounded, 1)
    )
    assert len(set(rounded)) < 50


def test_bfloat16_hears_nearly_the_same():
    state = build_dac(CONFIG).state_dict()
    codecs = {}
    for precision in ("float32", "bfloat16"):
        model = build_dac(CONFIG)
        model.load_state_dict(state)
        codecs[precision] = Dac(model, "name", "hash", precision)
    wave_BS = torch.randn(2, 3000)
    encoded = {precision: codec.encode(wave_BS) for precision, codec in codecs.items()}
    assert encoded["bfloat16"].latents_BTC.dtype == torch.float32
    close(encoded["bfloat16"].latents_BTC, encoded["float32"].latents_BTC, tolerance=0.05)
    changed = encoded["bfloat16"].codes_BTQ != encoded["float32"].codes_BTQ
    assert 0 < changed.float().mean() < 0.3
