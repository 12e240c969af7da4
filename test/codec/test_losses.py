"""Codec losses at known values and against a slow spectrogram."""

import math

import numpy as np
import pytest
import torch

from aio_toolkit.codec.losses import MelScale, MultiScaleMelLoss, si_sdr, snr
from aio_toolkit.scoring.separation import si_sdr_by_query

RATIOS = [snr, si_sdr]


def noisy(snr_db: float, size: int = 1001) -> tuple[torch.Tensor, torch.Tensor]:
    """A reference and noise that is orthogonal to it, so much weaker, in double precision."""
    torch.manual_seed(0)
    reference_1S, noise_1S = torch.randn(2, 1, size, dtype=torch.float64)
    noise_1S -= (noise_1S * reference_1S).sum() / reference_1S.square().sum() * reference_1S
    noise_1S *= reference_1S.norm() / noise_1S.norm() * 10 ** (-snr_db / 20)
    return reference_1S, noise_1S


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 12.5])
def test_noise_apart_from_the_signal_gives_its_own_ratio(ratio, snr_db):
    reference_1S, noise_1S = noisy(snr_db)
    found = ratio(reference_1S + noise_1S, reference_1S, ceiling=90.0)
    assert found.item() == pytest.approx(snr_db, abs=1e-3)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("ceiling", [10.0, 30.0])
@pytest.mark.parametrize("snr_db", [5.0, 25.0])
def test_the_ceiling_is_noise_that_is_always_there(ratio, ceiling, snr_db):
    reference_1S, noise_1S = noisy(snr_db)
    found = ratio(reference_1S + noise_1S, reference_1S, ceiling)
    want = -10 * math.log10(10 ** (-snr_db / 10) + 10 ** (-ceiling / 10))
    assert found.item() == pytest.approx(want, abs=1e-3)


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_perfect_estimate_reaches_the_ceiling_of_30_db_and_no_more(ratio):
    reference_BS = torch.randn(2, 1001)
    assert ratio(reference_BS, reference_BS).tolist() == pytest.approx([30, 30], abs=0.01)


def test_si_sdr_does_not_depend_on_the_scale_of_the_estimate():
    reference_1S, noise_1S = noisy(7.0)
    for gain in (0.1, 1.0, -3.0):
        found = si_sdr(gain * (reference_1S + noise_1S), reference_1S, ceiling=90.0)
        assert found.item() == pytest.approx(7.0, abs=1e-3)


@pytest.mark.parametrize("gain", [0.25, 0.5, 2.0])
def test_snr_counts_a_wrong_scale_as_noise(gain):
    reference_1S, _ = noisy(0.0)
    found = snr(gain * reference_1S, reference_1S, ceiling=90.0)
    assert found.item() == pytest.approx(-20 * math.log10(abs(1 - gain)), abs=1e-3)


def test_si_sdr_is_that_of_the_scores():
    torch.manual_seed(0)
    reference_BS = torch.randn(3, 777, dtype=torch.float64)
    noise_BS = torch.randn(3, 777, dtype=torch.float64)
    estimate_BS = 1.7 * reference_BS + torch.tensor([[0.1], [1.0], [9.0]]) * noise_BS
    want = si_sdr_by_query(reference_BS.numpy(), estimate_BS.numpy())
    np.testing.assert_allclose(si_sdr(estimate_BS, reference_BS, ceiling=90.0), want, atol=1e-3)


def test_silence_has_a_ratio_of_zero_and_no_reference_a_finite_one():
    reference_1S = torch.randn(1, 1000)
    assert snr(torch.zeros(1, 1000), reference_1S).item() == pytest.approx(0, abs=0.01)
    for ratio in RATIOS:
        assert torch.isfinite(ratio(reference_1S, torch.zeros(1, 1000))).all()


def test_snr_has_a_gradient_where_the_estimate_is_silent():
    estimate_1S = torch.zeros(1, 50, requires_grad=True)
    snr(estimate_1S, torch.randn(1, 50)).sum().backward()
    assert estimate_1S.grad.abs().max() > 0


# --- the mel distance ---


def slow_mel(wave_S: np.ndarray, sample_rate: int, window: int, num_mels: int) -> np.ndarray:
    """Mel magnitudes (T, F): Hann windows a quarter apart, triangles evenly spaced in HTK's mel."""
    hop = window // 4
    padded = np.pad(wave_S, window // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(padded) - window + 1, hop)
    magnitude_TK = np.abs([np.fft.rfft(hann * padded[i : i + window]) for i in starts])
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    corners = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(0, top, num_mels + 2)]
    mels_TF = np.zeros((len(magnitude_TK), num_mels))
    for f in range(num_mels):
        low, middle, high = corners[f : f + 3]
        for k in range(window // 2 + 1):
            hz = k * sample_rate / window
            rising, falling = (hz - low) / (middle - low), (high - hz) / (high - middle)
            mels_TF[:, f] += max(0.0, min(rising, falling)) * magnitude_TK[:, k]
    return mels_TF


def slow_distance(estimate_BS, reference_BS, sample_rate: int, scales, floor: float) -> float:
    """L1 of log10 mel magnitudes, first within each scale, then over scales."""
    means = []
    for scale in scales:
        differences = []
        for waves in zip(estimate_BS.numpy(), reference_BS.numpy(), strict=True):
            mels = [slow_mel(wave_S, sample_rate, scale.window, scale.num_mels) for wave_S in waves]
            estimate_TF, reference_TF = (np.log10(np.maximum(mel, floor)) for mel in mels)
            differences.append(np.abs(estimate_TF - reference_TF))
        means.append(np.mean(differences))
    return float(np.mean(means))


SCALES = (MelScale(128, 9), MelScale(32, 5))


@pytest.mark.parametrize("floor", [1e-5, 0.3])
@pytest.mark.parametrize("size", [501, 40])
def test_the_mel_distance_equals_a_loop_over_windows_and_bands(floor, size):
    torch.manual_seed(0)
    reference_BS = torch.randn(2, size, dtype=torch.float64) * 0.1
    estimate_BS = torch.randn(2, size, dtype=torch.float64) * 0.03
    loss = MultiScaleMelLoss(8000, SCALES, floor).double()
    want = slow_distance(estimate_BS, reference_BS, 8000, SCALES, floor)
    assert loss(estimate_BS, reference_BS).item() == pytest.approx(want, rel=1e-4)


def test_the_mel_distance_of_a_scaled_wave_is_the_log_of_the_scale():
    loss = MultiScaleMelLoss(16000, floor=1e-9)
    wave_BS = torch.randn(2, 8000)
    assert loss(wave_BS, wave_BS).item() == 0
    assert loss(10 * wave_BS, wave_BS).item() == pytest.approx(1, abs=1e-3)


def test_what_lies_below_the_floor_does_not_count():
    loss = MultiScaleMelLoss(16000, floor=1e-3)
    wave_BS = 1e-7 * torch.randn(2, 4000)
    assert loss(wave_BS, 0.1 * wave_BS).item() == 0
