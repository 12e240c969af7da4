"""Starting points of the codebooks: principal directions and k-means, once the latents are known.

Letters: C latent channels, K channels of a codebook, V codes, N frames; O output and I input
channels.
"""

import torch
from torch import nn

LLOYD_ITERATIONS = 15
# Size of the constant coordinate, in RMS lengths of a residual: large enough to leave angles small.
CONSTANT = 3.0


@torch.no_grad()
def normalise_latents(dac: nn.Module, latents_NC: torch.Tensor) -> torch.Tensor:
    """Bring the latents to unit variance, and make the decoder undo it.

    Codebook and commitment losses grow with the square of the latents: at the scale that training
    without quantization happens to reach they would drown the losses of the wave.

    Args:
        dac: a codec in training.
        latents_NC: what its encoder makes of some frames.

    Returns:
        The latents so scaled.
    """
    scale = latents_NC.std()
    out = dac.encoder.block[-1]
    into = dac.decoder.model[0]
    out.weight_g.div_(scale)
    out.bias.div_(scale)
    into.weight_g.mul_(scale)
    return latents_NC / scale


@torch.no_grad()
def fit_quantizer(quantizer: nn.Module, latents_NC: torch.Tensor, weight_N: torch.Tensor) -> None:
    """Fit each codebook to what the ones before it leave over.

    1. The projection of a codebook becomes the principal directions of that residual.
    2. Its codes become the centres of k-means there. (SoundStream, Zeghidour et al. 2021, starts
       from k-means too; the projection is this codec's own part.)
    3. The package looks codes up by direction and would ignore how long a residual is. So the last
       coordinate starts as one large constant, shared by frames and codes: the nearest direction is
       then the nearest point.

    Args:
        quantizer: a `dac` ResidualVectorQuantize.
        latents_NC: what the encoder makes of some frames.
        weight_N: how much a squared error in each frame counts.
    """
    residual_NC = latents_NC
    for stage in quantizer.quantizers:
        num_directions = stage.codebook.embedding_dim - 1
        mean_C, directions_KC = principal_directions(residual_NC, weight_N, num_directions)
        points_NK = (residual_NC - mean_C) @ directions_KC.T
        centres_VK = kmeans(points_NK, weight_N, stage.codebook_size)

        # The constant is made by the bias of the projection, and the way back ignores it.
        length = points_NK.square().sum(1).mean().sqrt()
        constant_1 = CONSTANT * length[None]
        nothing_1C = torch.zeros_like(directions_KC[:1])
        weight_KC = torch.cat([directions_KC, nothing_1C])
        bias_K = torch.cat([-(directions_KC @ mean_C), constant_1])
        _set_projection(stage.in_proj, weight_KC, bias_K)
        _set_projection(stage.out_proj, weight_KC.T, mean_C)

        constant_V1 = constant_1.expand(len(centres_VK), 1)
        codes_VK = torch.cat([centres_VK, constant_V1], dim=1)
        stage.codebook.weight.copy_(codes_VK)

        quantized_1CN, *_ = stage(residual_NC.T[None])
        residual_NC = residual_NC - quantized_1CN[0].T


def principal_directions(
    points_NC: torch.Tensor, weight_N: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean (C,) and the `count` directions (K, C) of the largest weighted variance.

    >>> points_NC = torch.tensor([[0.0, 1.0], [4.0, 1.0]])
    >>> mean_C, directions_KC = principal_directions(points_NC, torch.ones(2), 1)
    >>> mean_C, directions_KC.abs()
    (tensor([2., 1.]), tensor([[1., 0.]]))
    """
    share_N = weight_N / weight_N.sum()
    share_N1 = share_N[:, None]
    mean_C = (share_N1 * points_NC).sum(0)
    centred_NC = points_NC - mean_C
    covariance_CC = (share_N1 * centred_NC).T @ centred_NC
    _, vectors_CC = torch.linalg.eigh(covariance_CC)
    # Eigenvalues come in ascending order.
    return mean_C, vectors_CC.flip(1).T[:count]


def kmeans(points_NK: torch.Tensor, weight_N: torch.Tensor, num_centres: int) -> torch.Tensor:
    """Centres (V, K) of weighted points, by Lloyd's algorithm (Lloyd 1982).

    A centre that loses all of its points moves to a random one.

    It is our own because scikit-learn's computes on the CPU alone. Here the frames stay on the
    device where the codec is trained, and the draws are those of the run's seed.

    Args:
        points_NK: the points.
        weight_N: how much a squared error of each counts.
        num_centres: V, which may be more than there are points.

    >>> kmeans(torch.tensor([[0.0], [2.0]]), torch.tensor([3.0, 1.0]), num_centres=1)
    tensor([[0.5000]])
    """
    # Centres are drawn where errors count most.
    may_repeat = num_centres > len(points_NK)
    drawn_V = torch.multinomial(weight_N, num_centres, replacement=may_repeat)
    centres_VK = points_NK[drawn_V]
    weighted_NK = weight_N[:, None] * points_NK
    for _ in range(LLOYD_ITERATIONS):
        distance_NV = torch.cdist(points_NK, centres_VK)
        nearest_N = distance_NV.argmin(1)
        mass_V = torch.bincount(nearest_N, weight_N, minlength=num_centres)
        mass_V1 = mass_V[:, None]
        sum_VK = torch.zeros_like(centres_VK)
        sum_VK.index_add_(0, nearest_N, weighted_NK)
        mean_VK = sum_VK / mass_V1.clamp_min(1e-12)

        stray_V = torch.multinomial(weight_N, num_centres, replacement=True)
        centres_VK = torch.where(mass_V1 > 0, mean_VK, points_NK[stray_V])
    return centres_VK


def _set_projection(layer: nn.Conv1d, weight_OI: torch.Tensor, bias_O: torch.Tensor) -> None:
    """Give a weight-normalised convolution with a kernel of one these weights."""
    norm_O = weight_OI.norm(dim=1)
    # Weight norm divides by a row's length: a row of zeros needs some direction, scaled by zero.
    has_length_O1 = norm_O[:, None] > 0
    direction_OI = torch.where(has_length_O1, weight_OI, torch.ones_like(weight_OI))
    layer.weight_v.copy_(direction_OI[:, :, None])
    layer.weight_g.copy_(norm_O[:, None, None])
    layer.bias.copy_(bias_O)
