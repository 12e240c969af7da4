"""Codec losses at their known values."""

import pytest
import torch

from aio_toolkit.codec.losses import MultiScaleMelLoss, si_sdr, snr


def test_snr_equals_its_definition():
    reference = torch.randn(3, 1000, dtype=torch.float64)
    noise = torch.randn(3, 1000, dtype=torch.float64) * 0.3
    want = 10 * (reference.square().sum(1) / noise.square().sum(1)).log10()
    torch.testing.assert_close(
        snr(reference + noise, reference, ceiling=80.0), want, atol=1e-3, rtol=0
    )


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


def test_si_sdr_is_the_snr_of_the_best_scaled_reference():
    torch.manual_seed(0)
    reference = torch.randn(3, 1000, dtype=torch.float64)
    estimate = 0.2 * reference + 0.1 * torch.randn(3, 1000, dtype=torch.float64)
    for row in range(3):
        scale = torch.linalg.lstsq(reference[row, :, None], estimate[row, :, None]).solution
        target = scale.item() * reference[row]
        error = estimate[row] - target
        want = 10 * (target.square().sum() / error.square().sum()).log10()
        got = si_sdr(estimate[row : row + 1], reference[row : row + 1], ceiling=80.0)
        assert got.item() == pytest.approx(want.item(), abs=1e-3)


def test_si_sdr_ignores_the_level_where_snr_does_not():
    torch.manual_seed(0)
    reference = torch.randn(1, 1000)
    estimate = reference + 0.3 * torch.randn(1, 1000)
    quieter = 0.5 * estimate
    assert si_sdr(quieter, reference).item() == pytest.approx(
        si_sdr(estimate, reference).item(), abs=1e-3
    )
    assert snr(quieter, reference) < snr(estimate, reference) - 3
