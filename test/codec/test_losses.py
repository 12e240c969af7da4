"""Codec losses at their known values."""

import pytest
import torch

from aio_toolkit.codec.losses import MultiScaleMelLoss, snr


def test_snr_equals_its_definition():
    reference = torch.randn(3, 1000, dtype=torch.float64)
    noise = torch.randn(3, 1000, dtype=torch.float64) * 0.3
    want = 10 * (reference.square().sum(1) / noise.square().sum(1)).log10()
    torch.testing.assert_close(snr(reference + noise, reference, ceiling=80.0), want, atol=1e-3, rtol=0)


def test_snr_is_bounded_and_zero_for_silence():
    reference = torch.randn(1, 1000)
    assert snr(reference, reference).item() == pytest.approx(30, abs=0.01)
    assert snr(torch.zeros(1, 1000), reference).item() == pytest.approx(0, abs=0.01)
    assert torch.isfinite(snr(torch.randn(1, 1000), torch.zeros(1, 1000))).all()


def test_mel_distance_of_a_scaled_wave_is_the_log_of_the_scale():
    loss = MultiScaleMelLoss(16000, floor=1e-9)
    wave = torch.randn(2, 8000)
    assert loss(wave, wave).item() == 0
    assert loss(10 * wave, wave).item() == pytest.approx(1, abs=1e-3)
