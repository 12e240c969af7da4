"""The compressed spectrum against NumPy's Fourier transform, window by window."""

import numpy as np
import pytest
import torch

from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.stft import Spectrum

HOP, STEP, WINDOW = 32, 16, 50
GRID = FrameGrid(16000, HOP)


def by_hand(wave_S: np.ndarray, power: float) -> np.ndarray:
    """Compressed spectra (K, F) of the sub-frames, complex, of a wave of unit level."""
    wave_S = wave_S / np.sqrt(np.mean(wave_S**2))
    lead = (WINDOW - STEP) // 2
    padded_S = np.pad(wave_S, (lead, HOP + WINDOW))
    num_columns = 2 * -(-len(wave_S) // HOP)
    columns = []
    for k in range(num_columns):
        piece_W = padded_S[k * STEP : k * STEP + WINDOW]
        # The periodic window of Hann.
        hann_W = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
        spectrum_F = np.fft.rfft(piece_W * hann_W)
        columns.append(np.abs(spectrum_F) ** power * np.exp(1j * np.angle(spectrum_F)))
    return np.stack(columns)


@pytest.mark.parametrize("phase", [True, False])
def test_features_are_those_of_numpy(phase):
    wave_S = np.random.default_rng(0).standard_normal(75).astype(np.float32)
    options = Spectrum.Config(window=WINDOW / STEP, power=0.4, phase=phase)
    wave_BS = torch.from_numpy(wave_S)[None]
    found_TF = Spectrum(options, GRID)(wave_BS, torch.tensor([75]))[0]
    spectrum_KF = by_hand(wave_S, power=0.4)
    parts = [spectrum_KF.real, spectrum_KF.imag] if phase else [np.abs(spectrum_KF)]
    # Both parts of a frequency side by side, then the next frequency, then the next sub-frame.
    want_TF = np.stack(parts, axis=-1).reshape(3, -1)
    np.testing.assert_allclose(found_TF.numpy(), want_TF, atol=1e-3)


def test_silence_has_features_without_a_phase():
    found = Spectrum(Spectrum.Config(), FrameGrid(16000, 320))(
        torch.zeros(1, 400), torch.tensor([400])
    )
    assert found.abs().max() == 0


def test_features_do_not_depend_on_padding():
    spectrum = Spectrum(Spectrum.Config(), FrameGrid(16000, 320))
    wave_BS = torch.zeros(1, 1500)
    wave_BS[0, :700] = torch.randn(700)
    samples_B = torch.tensor([700])
    padded_BTF = spectrum(wave_BS, samples_B)
    alone_BTF = spectrum(wave_BS[:, :700], samples_B)
    torch.testing.assert_close(padded_BTF[:, :3], alone_BTF)
    assert padded_BTF[:, 3:].abs().max() == 0
