"""Pictures of waves: envelope and levels against slow loops, and what becomes of pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.hub import figures
from aio_toolkit.hub.figures import Scale, draw, envelope, levels, places, scale_of
from aio_toolkit.hub.formats import Word


def noise(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)


@pytest.mark.parametrize(("channels", "samples"), [(1, 1), (2, 719), (1, 720), (3, 2001)])
def test_a_column_reaches_from_the_lowest_to_the_highest_of_its_samples(channels, samples):
    wave_CS = noise(channels, samples)
    columns = min(720, samples)
    low_X, high_X = envelope(wave_CS)
    assert len(low_X) == len(high_X) == columns
    for x in range(columns):
        part_CS = wave_CS[:, x * samples // columns : (x + 1) * samples // columns]
        assert (low_X[x], high_X[x]) == (part_CS.min(), part_CS.max())


def slow_levels(wave_CS: np.ndarray, size: int, step: int) -> np.ndarray:
    """One window and one frequency after the other."""
    num_samples = wave_CS.shape[1]
    hann_W = [0.5 - 0.5 * math.cos(2 * math.pi * w / size) for w in range(size)]
    level_FK = np.empty((size // 2 + 1, num_samples // step + 1))
    for k in range(level_FK.shape[1]):
        for f in range(level_FK.shape[0]):
            power = 0.0
            for wave_S in wave_CS:
                value = 0j
                for w in range(size):
                    place = k * step - size // 2 + w
                    if 0 <= place < num_samples:
                        turn = -2 * math.pi * f * w / size
                        value += wave_S[place] * hann_W[w] * complex(math.cos(turn), math.sin(turn))
                power += abs(value / sum(hann_W)) ** 2 / len(wave_CS)
            level_FK[f, k] = 10 * math.log10(max(power, 1e-12))
    return level_FK


@pytest.mark.parametrize(("channels", "samples"), [(1, 37), (2, 64), (1, 3)])
def test_levels_are_those_of_a_slow_loop(channels, samples):
    wave_CS = noise(channels, samples)
    # Windows of 16 samples, 4 apart.
    np.testing.assert_allclose(levels(wave_CS, rate=500), slow_levels(wave_CS, 16, 4), atol=1e-3)


def test_a_column_of_several_windows_has_their_mean_power(monkeypatch):
    wave_CS = noise(1, 95)
    each_FK = 10 ** (levels(wave_CS, rate=500) / 10)
    monkeypatch.setattr(figures, "COLUMNS", 8)
    want_FX = each_FK.reshape(-1, 8, 3).mean(2)
    np.testing.assert_allclose(levels(wave_CS, rate=500), 10 * np.log10(want_FX), rtol=1e-4)


def test_a_tone_of_full_scale_is_six_decibels_below_zero_at_its_frequency():
    time_S = np.arange(8000) / 8000
    level_FX = levels(np.sin(2 * np.pi * 1000 * time_S)[None], rate=8000)
    # 256 samples a window: 31.25 Hz from one frequency to the next.
    assert level_FX[:, 60].argmax() == 32
    assert level_FX[32, 60] == pytest.approx(20 * math.log10(0.5), abs=0.01)


def test_a_scale_is_of_the_loudest_channel_and_the_brightest_spot():
    wave_CS = np.stack([np.zeros(500), np.full(500, -0.25)])
    scale = scale_of(wave_CS, rate=8000)
    assert scale.amplitude == 0.25
    assert scale.level == levels(wave_CS, rate=8000).max()


WORDS = st.lists(st.floats(0, 10), min_size=1, max_size=14).map(sorted)


@given(WORDS)
def test_words_stand_in_turn_apart_and_within_the_picture(starts):
    found = places([Word("a", start, start) for start in starts], seconds=10.0)
    gaps = np.diff([*found, 10.0])
    assert found[0] >= -1e-9
    assert (gaps >= 10 / 14 - 1e-9).all()


def test_words_with_room_stand_at_their_starts():
    words = [Word("a", 1.0, 1.1), Word("b", 4.0, 4.1), Word("c", 7.0, 7.1)]
    assert places(words, seconds=10.0) == [1.0, 4.0, 7.0]


def opaque(picture: np.ndarray) -> int:
    return np.count_nonzero(picture[..., 3] == 255)


def test_a_softer_wave_takes_less_of_a_picture_of_one_scale():
    wave_CS = noise(2, 4000) / 8
    scale = scale_of(wave_CS, 8000)
    loud, soft = draw(wave_CS, 8000, scale), draw(wave_CS / 4, 8000, scale)
    assert loud.shape == soft.shape == (520, 840, 4)
    assert loud.dtype == np.uint8
    upper = slice(0, 200)
    assert opaque(soft[upper]) < 0.5 * opaque(loud[upper])
    # The spectrogram is darker: as many pixels, of less light.
    assert soft[260:400, 200:700, :3].mean() < 0.8 * loud[260:400, 200:700, :3].mean()


def test_words_are_drawn_and_too_many_have_no_letters():
    wave_CS = np.zeros((1, 8000), np.float32)
    scale = Scale(1.0, 0.0)
    few = [Word("dog", 0.2 * n, 0.2 * n + 0.1) for n in range(4)]
    many = [Word("dog", 0.05 * n, 0.05 * n + 0.025) for n in range(15)]
    without, with_few, with_many = (draw(wave_CS, 8000, scale, w) for w in ([], few, many))
    # Of two pictures of other words, that with letters has a lower wave.
    spans = [np.count_nonzero(x[:, 400, 3]) for x in (without, with_few)]
    assert spans[0] != spans[1]
    np.testing.assert_array_equal(with_many[300:], without[300:])
    assert not np.array_equal(with_many, without)


@pytest.mark.parametrize("samples", [1, 50])
def test_silence_and_the_shortest_recordings_have_pictures(samples):
    wave_CS = np.zeros((1, samples), np.float32)
    assert draw(wave_CS, 16000, scale_of(wave_CS, 16000)).shape == (520, 840, 4)
