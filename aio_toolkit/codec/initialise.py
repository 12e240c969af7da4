"""Starting points that let a small DAC learn in minutes on a CPU.

The package's own start (weights of standard deviation 0.02, random codebooks) suits layers of
hundreds of channels and days on GPUs. With sixteen channels the signal dies on its way, the
encoder's output turns constant, all frames fall on one code, and the wave is never learnt. Here the
codec starts as what is known to work, and training improves on it: a lapped transform with its
principal components, vector-quantized (`codec.codebooks`).

Letters: C latent channels, K principal components, N frames; O output and I input channels, W taps.
"""

import math
from typing import Any

import torch
from torch import nn

from aio_toolkit.codec.codebooks import principal_directions

# How much random weights contribute beside the transform: enough to break symmetry.
RANDOM_SHARE = 0.005
# Frequency of the Snake activations between layers: so low that they are all but linear where the
# signal lives.
LINEAR_ALPHA = 0.01


@torch.no_grad()
def initialise(dac: nn.Module) -> None:
    """Make encoder and decoder a cascade of lapped transforms and its inverse.

    Each strided convolution has a kernel of two strides, as a modified discrete cosine transform
    (MDCT, Princen and Bradley 1986) has. So the encoder starts as MDCTs of MDCTs; the decoder, with
    the same bases, inverts all of it except the channels that a layer has no room for. Channels are
    in the order of frequency. The residual branches beside the transform stay random.

    >>> from aio_toolkit.codec.dac import Dac
    >>> from aio_toolkit.codec.dac_model import build_dac
    >>> dac = build_dac(Dac.Config(encoder_dim=4, latent_dim=8, decoder_dim=16, n_codebooks=2))
    >>> initialise(dac)
    >>> dac.encoder.block[1].block[3].alpha.detach().unique()
    tensor([0.0100])
    """
    scale_weights(dac)
    encoder, decoder = dac.encoder.block, dac.decoder.model
    _make_linear(encoder[-2])
    _make_linear(decoder[-3])

    # The first and the last layer hand the wave on.
    delta_W = torch.zeros(1, 1, encoder[0].kernel_size[0])
    delta_W[..., encoder[0].padding[0]] = 1.0
    _add_transform(encoder[0], delta_W)
    _add_transform(decoder[-2], delta_W)

    channels = 1
    for block in encoder[1:-2]:
        *_, snake, strided = block.block
        _make_linear(snake)
        channels = _add_transform(strided, _cascaded_mdct(channels, strided.stride[0]))

    # The decoder mirrors the encoder, so it is gone through from its end.
    channels = 1
    for block in reversed(decoder[1:-3]):
        snake, strided, *_ = block.block
        _make_linear(snake)
        channels = _add_transform(strided, _cascaded_mdct(channels, strided.stride[0]))


@torch.no_grad()
def fit_latents(dac: nn.Module, features_NC: torch.Tensor, weight_N: torch.Tensor) -> None:
    """Let the latents be the principal components of what the encoder's last layer reads.

    They are scaled to unit variance, all channels together.

    Args:
        dac: a codec that `initialise` made.
        features_NC: what that layer reads of some frames.
        weight_N: how much a squared error in each frame counts.
    """
    into = dac.encoder.block[-1]
    out = dac.decoder.model[0]
    mean_C, directions_KC = principal_directions(features_NC, weight_N, into.out_channels)
    components_NK = (features_NC - mean_C) @ directions_KC.T
    scale = components_NK.std()

    forth_KC = directions_KC / scale
    _add_transform(into, _centre_tap(forth_KC, into))
    into.bias.copy_(-(directions_KC @ mean_C) / scale)

    # The decoder's first layer may have fewer channels than the features: the highest bands go.
    room = out.out_channels
    back_CK = directions_KC.T[:room] * scale
    _add_transform(out, _centre_tap(back_CK, out))
    out.bias.copy_(mean_C[:room])


@torch.no_grad()
def scale_weights(model: nn.Module) -> None:
    """Give every weight-normalised convolution random weights whose outputs have unit variance.

    The last convolution of each residual branch is kept small: a unit starts as an identity.

    >>> _ = torch.manual_seed(0)
    >>> layer = nn.utils.weight_norm(nn.Conv1d(64, 64, 5))
    >>> scale_weights(layer)
    >>> bool((layer(torch.randn(1, 64, 999)).std() - 1).abs() < 0.1)
    True
    """
    from dac.model.dac import ResidualUnit

    units = [module for module in model.modules() if isinstance(module, ResidualUnit)]
    branch_ends = {unit.block[3] for unit in units}
    for layer in model.modules():
        if not hasattr(layer, "weight_g"):
            continue
        share = RANDOM_SHARE if layer in branch_ends else 1.0
        std = _fan_in(layer) ** -0.5 * share
        nn.init.normal_(layer.weight_v, std=std)
        _follow_direction(layer)
        nn.init.zeros_(layer.bias)


def mdct(size: int) -> torch.Tensor:
    """Basis (size, 2 * size) of the orthonormal MDCT with a sine window.

    >>> basis = mdct(4)
    >>> torch.allclose(basis @ basis.T, torch.eye(4), atol=1e-6)
    True
    """
    step_W = torch.arange(2 * size) + 0.5
    band_O = torch.arange(size) + 0.5
    angle_W = math.pi * step_W / (2 * size)
    window_W = angle_W.sin()
    centred_W = step_W + size / 2
    phase_OW = math.pi / size * centred_W * band_O[:, None]
    return math.sqrt(2 / size) * window_W * phase_OW.cos()


def _cascaded_mdct(channels: int, stride: int) -> torch.Tensor:
    """Kernels (O, I, W) that split each of `channels` bands into `stride` ones, lowest first."""
    kernel_OIW = torch.zeros(channels * stride, channels, 2 * stride)
    for band in range(channels):
        split_OW = mdct(stride)
        # Every other band comes out of an MDCT with its frequencies reversed.
        if band % 2:
            split_OW = split_OW.flip(0)
        narrower = slice(band * stride, (band + 1) * stride)
        kernel_OIW[narrower, band] = split_OW
    return kernel_OIW


def _centre_tap(matrix_OI: torch.Tensor, layer: nn.Conv1d) -> torch.Tensor:
    """Kernels (O, I, W) by which a layer multiplies each step by a matrix."""
    kernel_OIW = torch.zeros(*matrix_OI.shape, layer.kernel_size[0])
    kernel_OIW[..., layer.padding[0]] = matrix_OI
    return kernel_OIW


def _add_transform(layer: nn.Module, kernel_OIW: torch.Tensor) -> int:
    """Put as much of the kernels as there is room for on top of a share of the random ones.

    A transposed convolution holds its weights (narrow bands, wide bands, W) too, so one kernel
    serves both directions.

    Returns:
        How many of the O kernels fit.
    """
    weight_OIW = layer.weight_v.mul_(RANDOM_SHARE)
    rows = min(len(weight_OIW), len(kernel_OIW))
    columns = min(weight_OIW.shape[1], kernel_OIW.shape[1])
    room_OIW = weight_OIW[:rows, :columns]
    room_OIW += kernel_OIW[:rows, :columns].to(room_OIW)
    _follow_direction(layer)
    return rows


def _fan_in(layer: nn.Module) -> float:
    """Products in each output of a convolution."""
    weight_OIW: Any = layer.weight_v
    if isinstance(layer, nn.ConvTranspose1d):
        # Its first dimension is the input, and a tap in `stride` meets a given output.
        return weight_OIW.shape[0] * weight_OIW.shape[2] / layer.stride[0]
    return weight_OIW.shape[1] * weight_OIW.shape[2]


def _follow_direction(layer: nn.Module) -> None:
    """Let a weight-normalised layer's weights be its `weight_v` as it stands."""
    length_O11 = layer.weight_v.norm(dim=(1, 2), keepdim=True)
    layer.weight_g.copy_(length_O11)


def _make_linear(snake: nn.Module) -> None:
    snake.alpha.fill_(LINEAR_ALPHA)
