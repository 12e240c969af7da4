"""Starting points of the codebooks against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.cluster.vq
import torch

from aio_toolkit.codec.codebooks import (
    fit_quantizer,
    kmeans,
    normalise_latents,
    principal_directions,
)
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac
from aio_toolkit.codec.initialise import initialise

CONFIG = Dac.Config(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


def test_principal_directions_are_those_of_the_weighted_covariance():
    points_NC, weight_N = torch.randn(200, 5) @ torch.randn(5, 5), torch.rand(200)
    mean_C, directions_KC = principal_directions(points_NC, weight_N, 2)
    np.testing.assert_allclose(mean_C, np.average(points_NC, axis=0, weights=weight_N), atol=1e-5)
    covariance = np.cov(points_NC.T, aweights=weight_N, bias=True)
    _, _, vectors = np.linalg.svd(covariance)
    np.testing.assert_allclose(np.abs(directions_KC @ vectors[:2].T), np.eye(2), atol=1e-3)


def test_weights_of_kmeans_are_repetitions():
    torch.manual_seed(0)
    points_NK, weight_N = torch.randn(60, 2), torch.randint(1, 4, (60,)).float()
    found = kmeans(points_NK, weight_N, 5)
    repeated = points_NK.repeat_interleave(weight_N.long(), 0).numpy()
    again, _ = scipy.cluster.vq.kmeans2(repeated, found.numpy(), iter=1, minit="matrix")
    np.testing.assert_allclose(again, found, atol=0.05)


def test_kmeans_finds_clusters_that_are_far_apart():
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0], [50, 0], [0, 50], [50, 50]])
    points = (centres[:, None] + torch.randn(4, 200, 2)).flatten(0, 1)
    found = kmeans(points, torch.ones(len(points)), 8)
    assert (torch.cdist(centres, found).min(1).values < 5).all()


def test_normalising_latents_leaves_the_wave_as_it_is():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    initialise(model)
    model.encoder.block[-1].weight_g.data.mul_(7)
    wave_B1S = torch.randn(2, 1, 600)
    with torch.no_grad():
        latents_BCT = model.encoder(wave_B1S)
        before = model.decoder(latents_BCT)
        scaled_NC = normalise_latents(model, latents_BCT.transpose(1, 2).flatten(0, 1))
        after_BCT = model.encoder(wave_B1S)
        torch.testing.assert_close(model.decoder(after_BCT), before, atol=1e-3, rtol=1e-3)
    assert scaled_NC.std().item() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(
        after_BCT.transpose(1, 2).flatten(0, 1), scaled_NC, atol=1e-5, rtol=1e-4
    )


def test_a_fitted_quantizer_explains_more_with_every_codebook():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    latents_NC = torch.randn(500, 8) @ torch.randn(8, 8)
    fit_quantizer(model.quantizer, latents_NC, torch.ones(len(latents_NC)))
    left = []
    for count in range(1, 4):
        quantized = model.quantizer(latents_NC.T[None], n_quantizers=count)[0][0].T
        left.append((latents_NC - quantized).square().mean().item())
    assert left[0] < latents_NC.square().mean().item()
    assert left[2] < left[1] < left[0]


def test_a_fitted_quantizer_chooses_the_nearest_code_and_not_only_its_direction():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    latents_NC = torch.randn(500, 8) * torch.rand(500, 1) * 4
    fit_quantizer(model.quantizer, latents_NC, torch.ones(len(latents_NC)))
    stage = model.quantizer.quantizers[0]
    with torch.no_grad():
        projected_NK = stage.in_proj(latents_NC.T[None])[0].T
        chosen_N = stage(latents_NC.T[None])[3][0]
    distance_NV = torch.cdist(projected_NK, stage.codebook.weight)
    chosen_distance_N = distance_NV.gather(1, chosen_N[:, None])[:, 0]
    # The constant coordinate makes this exact only in the limit.
    assert chosen_distance_N.mean() < 1.05 * distance_NV.min(1).values.mean()
