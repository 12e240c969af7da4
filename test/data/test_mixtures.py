"""Mixing arithmetic against its definitions."""

import numpy as np
import pytest

from aio_toolkit.data.mixtures import convolve_rir, mix, pad_or_crop, peak_normalise, scale_to_snr


def _noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_scaled_noise_has_the_ratio_asked_for(snr_db):
    signal, noise = 0.3 * _noise(1000), 7.0 * _noise(1000, seed=1)
    scaled = scale_to_snr(signal, noise, snr_db)
    assert 10 * np.log10(np.sum(signal**2) / np.sum(scaled**2)) == pytest.approx(snr_db, abs=1e-4)
    assert scaled.dtype == np.float32


@pytest.mark.parametrize(
    ("signal", "noise"),
    [(np.zeros(8), np.ones(8)), (np.ones(8), np.zeros(8))],
)
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
    scaled = peak_normalise([first + second, first, second], peak=0.7)
    np.testing.assert_allclose(scaled[0], scaled[1] + scaled[2], atol=1e-6)
    assert max(np.abs(wave).max() for wave in scaled) == pytest.approx(0.7)


def test_silence_is_not_amplified():
    assert np.array_equal(peak_normalise([np.zeros(4), np.zeros(0)])[0], np.zeros(4))


def _in_16_bits(wave: np.ndarray) -> np.ndarray:
    steps = wave.astype(np.float64) * 2**15
    assert np.array_equal(steps, np.round(steps))
    return steps.astype(int)


def test_16_bit_files_of_targets_and_background_add_up_to_the_mixture():
    targets = {"a": _noise(301), "b": _noise(301, seed=1)}
    background = _noise(301, seed=2)
    made = mix(targets, background, peak=0.5)
    largest = max(
        np.abs(w).max() for w in (*targets.values(), background, sum(targets.values(), background))
    )
    rest = np.round(background * (0.5 / largest) * 2**15).astype(int)
    total = sum(_in_16_bits(wave) for wave in made.targets.values()) + rest
    assert np.array_equal(_in_16_bits(made.input), total)


def test_the_loudest_of_mixture_and_targets_has_the_peak():
    # Two waves that cancel: the targets are louder than their sum.
    wave = _noise(300)
    made = mix({"a": wave, "b": -0.9 * wave}, peak=0.7)
    assert np.abs(made.targets["a"]).max() == pytest.approx(0.7, abs=2**-15)
    assert np.abs(made.input).max() < 0.1


def test_a_mixture_without_targets_is_its_background():
    made = mix({}, np.array([0.5, -0.25]), peak=0.5)
    assert made.input.tolist() == [0.5, -0.25]
    assert made.targets == {}
