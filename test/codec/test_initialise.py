"""Starting points of codec training against closed forms."""

import numpy as np
import pytest
import scipy.cluster.vq
import torch

from aio_toolkit.codec import initialise
from aio_toolkit.codec.dac import DacConfig, build_dac
from aio_toolkit.codec.initialise import (
    fit_latents,
    fit_quantizer,
    kmeans,
    mdct,
    normalise_latents,
    principal_directions,
)

CONFIG = DacConfig(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)
# Channels enough for every band of the cascade: nothing needs to be dropped.
ROOMY = DacConfig(16000, 8, [4, 3, 2], 24, 64, [2, 3, 4], 2, 11, 4)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_mdct_inverts_itself_by_overlap_and_add(size):
    basis, steps = mdct(size).double(), 9
    wave_S = torch.randn(size * steps, dtype=torch.double)
    out_S = torch.zeros_like(wave_S)
    for first in range(0, size * (steps - 1), size):
        piece = slice(first, first + 2 * size)
        out_S[piece] += basis.T @ (basis @ wave_S[piece])
    # The first and the last block have one window only.
    torch.testing.assert_close(out_S[size:-size], wave_S[size:-size], atol=1e-5, rtol=1e-5)


def test_the_codec_starts_as_a_transform_that_inverts_itself(monkeypatch):
    monkeypatch.setattr(initialise, "RANDOM_SHARE", 1e-6)
    monkeypatch.setattr(initialise, "LINEAR_ALPHA", 1e-4)
    torch.manual_seed(0)
    model = build_dac(ROOMY).eval()
    initialise.initialise(model)
    wave_B1S = 0.02 * torch.randn(2, 1, 24 * 20)
    with torch.no_grad():
        features_BCT = model.encoder.block[:-1](wave_B1S)
        frames_NC = features_BCT.transpose(1, 2).flatten(0, 1)
        fit_latents(model, frames_NC, torch.ones(len(frames_NC)))
        latents_BCT = model.encoder(wave_B1S)
        out_BS = model.decoder(latents_BCT)[:, 0]
    middle = slice(24 * 4, 24 * 16)
    noise = (out_BS[:, middle] - wave_B1S[:, 0, middle]).square().mean() / wave_B1S.square().mean()
    assert 10 * noise.log10() < -35
    assert latents_BCT.std().item() == pytest.approx(1.0, abs=0.05)


def test_channels_are_in_the_order_of_frequency(monkeypatch):
    monkeypatch.setattr(initialise, "RANDOM_SHARE", 1e-6)
    model = build_dac(ROOMY).eval()
    initialise.initialise(model)
    loudest = []
    for band in range(24):
        frequency = (band + 0.5) / 24 / 2
        wave = 0.02 * torch.sin(2 * torch.pi * frequency * torch.arange(24 * 40.0))
        with torch.no_grad():
            energy_C = model.encoder.block[:-1](wave[None, None])[0].square().sum(1)
        loudest.append(int(energy_C[:24].argmax()))
    assert np.corrcoef(loudest, range(24))[0, 1] > 0.95


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
    initialise.initialise(model)
    model.encoder.block[-1].weight_g.data.mul_(7)
    wave_B1S = torch.randn(2, 1, 600)
    with torch.no_grad():
        latents_BCT = model.encoder(wave_B1S)
        before = model.decoder(latents_BCT)
        scaled_NC = normalise_latents(model, latents_BCT.transpose(1, 2).flatten(0, 1))
        after_BCT = model.encoder(wave_B1S)
        torch.testing.assert_close(model.decoder(after_BCT), before, atol=1e-3, rtol=1e-3)
    assert scaled_NC.std().item() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(after_BCT.transpose(1, 2).flatten(0, 1), scaled_NC, atol=1e-5, rtol=1e-4)


def test_a_fitted_quantizer_explains_more_with_every_codebook():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    latents_NC = torch.randn(500, 8) @ torch.randn(8, 8)
    fit_quantizer(model.quantizer, latents_NC, torch.ones(len(latents_NC)))
    left = []
    for count in range(1, 4):
        quantised = model.quantizer(latents_NC.T[None], n_quantizers=count)[0][0].T
        left.append((latents_NC - quantised).square().mean().item())
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
