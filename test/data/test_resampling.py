"""Waves at another rate, and faster ones."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from aio_toolkit.data.resampling import change_speed, changed_length, resample, resampled_length


def _noise(size: int = 800) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, size).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "rates"),
    [(1, (8000, 16000)), (4411, (44100, 16000)), (999, (48000, 16000))],
)
def test_the_resampled_length_is_foretold(size, rates):
    assert len(resample(_noise(size), *rates)) == resampled_length(size, *rates)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resampling_keeps_the_precision(dtype):
    assert resample(_noise().astype(dtype), 44100, 16000).dtype == dtype


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_a_faster_wave_is_shorter_and_higher(speed):
    tone_S = np.sin(2 * np.pi * 0.05 * np.arange(2000))
    found_S = change_speed(tone_S, speed)
    want_S = np.sin(2 * np.pi * 0.05 * speed * np.arange(len(found_S)))
    assert len(found_S) == pytest.approx(2000 / speed, abs=1)
    # At the ends the filter has half of the wave to look at.
    np.testing.assert_allclose(found_S[100:-100], want_S[100:-100], atol=5e-3)


def test_a_wave_at_its_own_speed_stays_as_it_is():
    wave_S = _noise()
    assert change_speed(wave_S, 1.0) is wave_S


@pytest.mark.parametrize("speed", [0.5, 0.85, 0.9, 1.0, 1.05, 1.1, 1.15, 2.0])
@pytest.mark.parametrize("size", [1, 19, 800, 1777])
def test_the_length_at_another_speed_is_foretold(size, speed):
    assert len(change_speed(_noise(size), speed)) == changed_length(size, speed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("up", "down"), [(2, 1), (1, 3), (160, 441), (20, 21), (10, 9)])
def test_the_filter_is_that_of_scipy_bit_by_bit(up, down, dtype):
    wave_S = _noise(1777).astype(dtype)
    np.testing.assert_array_equal(resample(wave_S, down, up), resample_poly(wave_S, up, down))
