"""Starting points that let a small DAC learn in minutes on a CPU.

The package's own start (weights of standard deviation 0.02, random codebooks) suits layers of hundreds of channels
and days on GPUs. With sixteen channels the signal dies on its way, the encoder's output turns constant, all frames
fall on one code, and the wave is never learnt. Here the codec starts as what is known to work: a lapped transform
with its principal components, vector-quantised; training improves on it.

Letters: C latent channels, K channels of a codebook, V codes, N frames; O output and I input channels, W taps.
"""

import math

import torch
from torch import nn

LLOYD_ITERATIONS = 15
# Size of the constant coordinate, in RMS lengths of a residual: large enough to leave angles small.
CONSTANT = 3.0
# How much random weights contribute beside the transform: enough to break symmetry.
RANDOM_SHARE = 0.005
# Frequency of the Snake activations between layers: so low that they are all but linear where the signal lives.
LINEAR_ALPHA = 0.01


@torch.no_grad()
def initialise(dac: nn.Module) -> None:
    """Make encoder and decoder a cascade of lapped transforms and its inverse, with random branches beside it.

    Each strided convolution has a kernel of two strides, as a modified discrete cosine transform (MDCT, Princen and
    Bradley 1986) has; so the encoder starts as MDCTs of MDCTs, and the decoder, with the same bases, inverts it but
    for the lowest channels that a layer has no room for. Channels are in the order of frequency.
    """
    scale_weights(dac)
    encoder, decoder = dac.encoder.block, dac.decoder.model
    _make_linear(encoder[-2])
    _make_linear(decoder[-3])
    delta_W = torch.zeros(1, 1, encoder[0].kernel_size[0])
    delta_W[..., encoder[0].padding[0]] = 1.0
    _add_transform(encoder[0], delta_W)
    _add_transform(decoder[-2], delta_W)
    channels = 1
    for block in encoder[1:-2]:
        _make_linear(block.block[-2])
        channels = _add_transform(block.block[-1], _cascaded_mdct(channels, block.block[-1].stride[0]))
    channels = 1
    for block in reversed(decoder[1:-3]):
        _make_linear(block.block[0])
        channels = _add_transform(block.block[1], _cascaded_mdct(channels, block.block[1].stride[0]))


@torch.no_grad()
def fit_latents(dac: nn.Module, features_NC: torch.Tensor, weight_N: torch.Tensor) -> None:
    """Let the latents be the principal components of what the encoder's last layer reads, at unit variance in all.

    Args:
        dac: a codec that `initialise` made.
        features_NC: what that layer reads of some frames.
        weight_N: how much a squared error in each frame counts.
    """
    into, out = dac.encoder.block[-1], dac.decoder.model[0]
    mean_C, directions_KC = principal_directions(features_NC, weight_N, into.out_channels)
    scale = ((features_NC - mean_C) @ directions_KC.T).std()
    _add_transform(into, _centre_tap(directions_KC / scale, into))
    _add_transform(out, _centre_tap(directions_KC.T[: out.out_channels] * scale, out))
    into.bias.copy_(-(directions_KC @ mean_C) / scale)
    out.bias.copy_(mean_C[: out.out_channels])


@torch.no_grad()
def scale_weights(model: nn.Module) -> None:
    """Give every weight-normalised convolution outputs of unit variance; shrink the end of residual branches."""
    from dac.model.dac import ResidualUnit

    branch_ends = {unit.block[3] for unit in model.modules() if isinstance(unit, ResidualUnit)}
    for layer in model.modules():
        if not hasattr(layer, "weight_g"):
            continue
        v = layer.weight_v
        if isinstance(layer, nn.ConvTranspose1d):
            fan_in = v.shape[0] * v.shape[2] / layer.stride[0]
        else:
            fan_in = v.shape[1] * v.shape[2]
        nn.init.normal_(v, std=fan_in**-0.5 * (RANDOM_SHARE if layer in branch_ends else 1.0))
        layer.weight_g.copy_(v.norm(dim=(1, 2), keepdim=True))
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def normalise_latents(dac: nn.Module, latents_NC: torch.Tensor) -> torch.Tensor:
    """Bring the latents to unit variance, and make the decoder undo it; returns the latents so scaled.

    Codebook and commitment losses grow with the square of the latents: at the scale that training without
    quantisation happens to reach they would drown the losses of the wave.
    """
    scale = latents_NC.std()
    out, into = dac.encoder.block[-1], dac.decoder.model[0]
    out.weight_g.div_(scale)
    out.bias.div_(scale)
    into.weight_g.mul_(scale)
    return latents_NC / scale


@torch.no_grad()
def fit_quantizer(quantizer: nn.Module, latents_NC: torch.Tensor, weight_N: torch.Tensor) -> None:
    """Fit each codebook to what the ones before it leave over.

    Its projection becomes the principal directions of that residual, its codes the centres of k-means there
    (SoundStream, Zeghidour et al. 2021, initialises by k-means; the projection is this codec's own part).
    The package looks codes up by direction and would ignore how long a residual is. So the last coordinate
    starts as one large constant, shared by frames and codes: the nearest direction is then the nearest point.

    Args:
        quantizer: a `dac` ResidualVectorQuantize.
        latents_NC: what the encoder makes of some frames.
        weight_N: how much a squared error in each frame counts.
    """
    residual_NC = latents_NC
    for stage in quantizer.quantizers:
        mean_C, directions_KC = principal_directions(residual_NC, weight_N, stage.codebook.embedding_dim - 1)
        points_NK = (residual_NC - mean_C) @ directions_KC.T
        constant_1 = CONSTANT * points_NK.square().sum(1).mean().sqrt()[None]
        centres_VK = kmeans(points_NK, weight_N, stage.codebook_size)
        nothing_1C = torch.zeros_like(directions_KC[:1])
        _set_projection(
            stage.in_proj,
            torch.cat([directions_KC, nothing_1C]),
            torch.cat([-(directions_KC @ mean_C), constant_1]),
        )
        _set_projection(stage.out_proj, torch.cat([directions_KC, nothing_1C]).T, mean_C)
        stage.codebook.weight.copy_(torch.cat([centres_VK, constant_1.expand(len(centres_VK), 1)], dim=1))
        residual_NC = residual_NC - stage(residual_NC.T[None])[0][0].T


def principal_directions(
    points_NC: torch.Tensor, weight_N: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean (C,) and the `count` directions (K, C) of the largest weighted variance about it."""
    share_N1 = (weight_N / weight_N.sum())[:, None]
    mean_C = (share_N1 * points_NC).sum(0)
    centred_NC = points_NC - mean_C
    covariance_CC = (share_N1 * centred_NC).T @ centred_NC
    return mean_C, torch.linalg.eigh(covariance_CC)[1].flip(1).T[:count]


def kmeans(points_NK: torch.Tensor, weight_N: torch.Tensor, num_centres: int) -> torch.Tensor:
    """Lloyd's algorithm on weighted points; a centre that loses all of them moves to a random one."""
    drawn_V = torch.multinomial(weight_N, num_centres, replacement=num_centres > len(points_NK))
    centres_VK = points_NK[drawn_V]
    weighted_NK = weight_N[:, None] * points_NK
    for _ in range(LLOYD_ITERATIONS):
        nearest_N = torch.cdist(points_NK, centres_VK).argmin(1)
        mass_V1 = torch.bincount(nearest_N, weight_N, minlength=num_centres)[:, None]
        sum_VK = torch.zeros_like(centres_VK).index_add_(0, nearest_N, weighted_NK)
        stray_VK = points_NK[torch.multinomial(weight_N, num_centres, replacement=True)]
        centres_VK = torch.where(mass_V1 > 0, sum_VK / mass_V1.clamp_min(1e-12), stray_VK)
    return centres_VK


def _set_projection(layer: nn.Conv1d, weight_OI: torch.Tensor, bias_O: torch.Tensor) -> None:
    norm_O = weight_OI.norm(dim=1)
    # Weight norm divides by the length of a row: a row of zeros needs some direction, scaled by zero.
    layer.weight_v.copy_(torch.where(norm_O[:, None] > 0, weight_OI, torch.ones_like(weight_OI))[:, :, None])
    layer.weight_g.copy_(norm_O[:, None, None])
    layer.bias.copy_(bias_O)


def mdct(size: int) -> torch.Tensor:
    """Basis (size, 2 * size) of the orthonormal MDCT with a sine window."""
    n, k = torch.arange(2 * size) + 0.5, torch.arange(size)[:, None] + 0.5
    return math.sqrt(2 / size) * (math.pi * n / (2 * size)).sin() * (math.pi / size * (n + size / 2) * k).cos()


def _cascaded_mdct(channels: int, stride: int) -> torch.Tensor:
    """Kernels (O, I, W) that split each of `channels` bands into `stride` narrower ones, lowest first."""
    kernel_OIW = torch.zeros(channels * stride, channels, 2 * stride)
    for band in range(channels):
        # Every other band comes out of an MDCT with its frequencies reversed.
        split_OW = mdct(stride) if band % 2 == 0 else mdct(stride).flip(0)
        kernel_OIW[band * stride : (band + 1) * stride, band] = split_OW
    return kernel_OIW


def _centre_tap(matrix_OI: torch.Tensor, layer: nn.Conv1d) -> torch.Tensor:
    kernel_OIW = torch.zeros(*matrix_OI.shape, layer.kernel_size[0])
    kernel_OIW[..., layer.padding[0]] = matrix_OI
    return kernel_OIW


def _add_transform(layer: nn.Module, kernel_OIW: torch.Tensor) -> int:
    """Put as much of the kernels as there is room for on top of a share of the random ones; return how many fit.

    A transposed convolution holds its weights (narrow bands, wide bands, W) too, so one kernel serves both.
    """
    v = layer.weight_v.mul_(RANDOM_SHARE)
    rows, columns = min(len(v), len(kernel_OIW)), min(v.shape[1], kernel_OIW.shape[1])
    v[:rows, :columns] += kernel_OIW[:rows, :columns].to(v)
    layer.weight_g.copy_(v.norm(dim=(1, 2), keepdim=True))
    return rows


def _make_linear(snake: nn.Module) -> None:
    snake.alpha.fill_(LINEAR_ALPHA)
