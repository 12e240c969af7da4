"""Starting points that let a small DAC learn in minutes on a CPU.

The package's own start (weights of standard deviation 0.02, random codebooks) suits layers of hundreds of channels
and days on GPUs. With sixteen channels the signal dies on its way, the encoder's output turns constant, all frames
fall on one code, and the wave is never learnt. Letters: C latent channels, K channels of a codebook, V codes,
N frames.
"""

import torch
from torch import nn

LLOYD_ITERATIONS = 15
# Size of the constant coordinate, in RMS lengths of a residual: large enough to leave angles small.
CONSTANT = 3.0


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
        nn.init.normal_(v, std=fan_in**-0.5 * (0.3 if layer in branch_ends else 1.0))
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
def fit_quantizer(quantizer: nn.Module, latents_NC: torch.Tensor) -> None:
    """Fit each codebook to what the ones before it leave over.

    Its projection becomes the principal directions of that residual, its codes the centres of k-means there
    (SoundStream, Zeghidour et al. 2021, initialises by k-means; the projection is this codec's own part).
    The package looks codes up by direction and would ignore how long a residual is. So the last coordinate
    starts as one large constant, shared by frames and codes: the nearest direction is then the nearest point.

    Args:
        quantizer: a `dac` ResidualVectorQuantize.
        latents_NC: frames of an encoder that was trained without quantisation.
    """
    residual_NC = latents_NC
    for stage in quantizer.quantizers:
        mean_C = residual_NC.mean(0)
        centred_NC = residual_NC - mean_C
        num_directions = stage.codebook.embedding_dim - 1
        directions_KC = torch.linalg.svd(centred_NC, full_matrices=False)[2][:num_directions]
        points_NK = centred_NC @ directions_KC.T
        constant_1 = CONSTANT * points_NK.square().sum(1).mean().sqrt()[None]
        centres_VK = kmeans(points_NK, stage.codebook_size)
        nothing_1C = torch.zeros_like(directions_KC[:1])
        _set_projection(
            stage.in_proj,
            torch.cat([directions_KC, nothing_1C]),
            torch.cat([-(directions_KC @ mean_C), constant_1]),
        )
        _set_projection(stage.out_proj, torch.cat([directions_KC, nothing_1C]).T, mean_C)
        stage.codebook.weight.copy_(torch.cat([centres_VK, constant_1.expand(len(centres_VK), 1)], dim=1))
        residual_NC = residual_NC - stage(residual_NC.T[None])[0][0].T


def kmeans(points_NK: torch.Tensor, num_centres: int) -> torch.Tensor:
    """Lloyd's algorithm; a centre that loses all its points moves to a random one."""
    centres_VK = points_NK[torch.randint(len(points_NK), (num_centres,))]
    for _ in range(LLOYD_ITERATIONS):
        nearest_N = torch.cdist(points_NK, centres_VK).argmin(1)
        count_V1 = torch.bincount(nearest_N, minlength=num_centres)[:, None]
        sum_VK = torch.zeros_like(centres_VK).index_add_(0, nearest_N, points_NK)
        stray_VK = points_NK[torch.randint(len(points_NK), (num_centres,))]
        centres_VK = torch.where(count_V1 > 0, sum_VK / count_V1.clamp_min(1), stray_VK)
    return centres_VK


def _set_projection(layer: nn.Conv1d, weight_OI: torch.Tensor, bias_O: torch.Tensor) -> None:
    norm_O = weight_OI.norm(dim=1)
    # Weight norm divides by the length of a row: a row of zeros needs some direction, scaled by zero.
    layer.weight_v.copy_(torch.where(norm_O[:, None] > 0, weight_OI, torch.ones_like(weight_OI))[:, :, None])
    layer.weight_g.copy_(norm_O[:, None, None])
    layer.bias.copy_(bias_O)
