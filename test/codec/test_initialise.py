"""The network that codec training starts from, against closed forms."""

import numpy as np
import pytest
import torch

from aio_toolkit.codec import initialise
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac
from aio_toolkit.codec.initialise import fit_latents, mdct, scale_weights

# Channels enough for every band of the cascade: nothing needs to be dropped.
ROOMY = Dac.Config(16000, 8, [4, 3, 2], 24, 64, [2, 3, 4], 2, 11, 4)
# The same with the strides that follow from a rate; each has about as many channels as its hop.
AT_ANY_RATE = [
    Dac.Config(8000, 16, latent_dim=160, decoder_dim=256, n_codebooks=2),
    Dac.Config(22050, 32, latent_dim=448, decoder_dim=512, n_codebooks=2),
]


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


@pytest.mark.parametrize("config", [ROOMY, *AT_ANY_RATE], ids=lambda config: config.sample_rate)
def test_the_codec_starts_as_a_transform_that_inverts_itself(config, monkeypatch):
    monkeypatch.setattr(initialise, "RANDOM_SHARE", 1e-6)
    monkeypatch.setattr(initialise, "LINEAR_ALPHA", 1e-4)
    torch.manual_seed(0)
    model = build_dac(config).eval()
    initialise.initialise(model)
    hop = config.hop
    # Enough frames that directions of all channels can be told from them.
    rows = -(-config.latent_dim // 8)
    wave_B1S = 0.02 * torch.randn(rows, 1, hop * 20)
    with torch.no_grad():
        features_BCT = model.encoder.block[:-1](wave_B1S)
        frames_NC = features_BCT.transpose(1, 2).flatten(0, 1)
        fit_latents(model, frames_NC, torch.ones(len(frames_NC)))
        latents_BCT = model.encoder(wave_B1S)
        out_BS = model.decoder(latents_BCT)[:, 0]
    middle = slice(hop * 4, hop * 16)
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


def test_scaled_weights_keep_the_variance_of_a_transposed_convolution():
    torch.manual_seed(0)
    layer = torch.nn.utils.weight_norm(torch.nn.ConvTranspose1d(64, 32, 6, stride=3))
    scale_weights(layer)
    out_BXS = layer(torch.randn(2, 64, 500))[..., 6:-6]
    assert out_BXS.std().item() == pytest.approx(1.0, abs=0.1)
