"""Mixing arithmetic against its definitions."""

import numpy as np
import pytest

from aio_toolkit.data.mixing import convolve_rir, pad_or_crop, peak_normalise, scale_to_snr


def _noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_scaled_noise_has_the_ratio_asked_for(snr_db):
    signal, noise = 0.3 * _noise(1000), 7.0 * _noise(1000, seed=1)
    scaled = scale_to_snr(signal, noise, snr_db)
    assert 10 * np.log10(np.sum(signal**2) / np.sum(scaled**2)) == pytest.approx(snr_db, abs=1e-4)
    assert scaled.dtype == np.float32


@pytest.mark.parametrize(("signal", "noise"), [(np.zeros(8), np.ones(8)), (np.ones(8), np.zeros(8))])
def test_silence_has_no_ratio_and_leaves_the_noise_alone(signal, noise):
    assert np.array_equal(scale_to_snr(signal, noise, 3.0), noise)


@pytest.mark.parametrize(
    ("size", "offset", "expected"),
    [
        (5, 0, [1, 2, 3, 0, 0]),
        (5, 1, [0, 1, 2, 3, 0]),
        (2, 0, [1, 2]),
        (4, 2, [0, 0, 1, 2]),
        (3, -1, [2, 3, 0]),
        (2, 9, [0, 0]),
        (2, -9, [0, 0]),
        (0, 0, []),
    ],
)
def test_wave_is_placed_at_the_offset_and_cut_at_the_ends(size, offset, expected):
    assert pad_or_crop(np.array([1, 2, 3]), size, offset).tolist() == expected


def test_room_keeps_length_and_time_of_the_direct_path():
    wave = _noise(400)
    rir = np.zeros(90)
    rir[30], rir[50] = -2.0, 0.5  # a direct path that is late, loud and inverted, and one echo
    wet = convolve_rir(wave, rir)
    echo = np.concatenate([np.zeros(20), wave[:-20]])
    np.testing.assert_allclose(wet, wave - 0.25 * echo, atol=1e-5)


def test_one_gain_for_all_waves_keeps_sums():
    first, second = _noise(300), _noise(300, seed=1)
    mixture, first_scaled, second_scaled = peak_normalise([first + second, first, second], peak=0.7)
    np.testing.assert_allclose(mixture, first_scaled + second_scaled, atol=1e-6)
    assert max(np.abs(w).max() for w in (mixture, first_scaled, second_scaled)) == pytest.approx(0.7)


def test_silence_is_not_amplified():
    assert np.array_equal(peak_normalise([np.zeros(4), np.zeros(0)])[0], np.zeros(4))
