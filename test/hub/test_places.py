"""Sources keep their places from window to window."""

import numpy as np
import pytest

from aio_toolkit.hub.places import Places

ORDERS = [[0, 1, 2], [2, 0, 1], [1, 0, 2], [2, 1, 0]]


def pitch(wave_S: np.ndarray) -> np.ndarray:
    """A spectrum without its phase."""
    return np.abs(np.fft.rfft(wave_S, 64))


@pytest.fixture
def voices() -> np.ndarray:
    """Three noises in two channels."""
    return np.random.default_rng(0).standard_normal((3, 2, 310)).astype(np.float32)


def never(wave_S: np.ndarray) -> np.ndarray:
    raise AssertionError("the overlap is loud enough")


def test_equals_go_where_they_go_on_whatever_order_a_window_has_them_in(voices):
    places, before_NCS = Places(3, never), None
    for number, order in enumerate(ORDERS):
        start = 70 * number
        found_NCS = places(voices[order, :, start : start + 100], before_NCS)
        np.testing.assert_array_equal(found_NCS, voices[:, :, start : start + 100])
        before_NCS = found_NCS[..., -30:]


def test_what_has_a_place_of_its_own_stays_there(voices):
    places = Places(2, never)
    places(voices[..., :100], None)
    # The residual sounds like the first speaker, and is still the residual.
    found_NCS = places(voices[[1, 2, 0], :, 70:170], voices[..., 70:100])
    np.testing.assert_array_equal(found_NCS[2], voices[0, :, 70:170])


def test_without_equals_nothing_is_moved(voices):
    places = Places(0, never)
    places(voices[..., :100], None)
    window_NCS = voices[[1, 0, 2], :, 70:170]
    assert places(window_NCS, voices[..., 70:100]) is window_NCS


def tones(quiet: slice, order: list[int]) -> np.ndarray:
    """Two tones, silent for a while."""
    time_S = np.arange(200)
    wave_NS = np.stack([np.sin(0.3 * time_S), np.sin(1.1 * time_S + 1)])
    wave_NS[:, quiet] = 0
    return wave_NS[order][:, None].astype(np.float32)


def test_where_the_overlap_is_silent_equals_go_to_what_they_sound_like():
    places = Places(2, pitch)
    places(tones(slice(150, 200), [0, 1]), None)
    after_NCS = tones(slice(0, 50), [1, 0])
    found_NCS = places(after_NCS, np.zeros((2, 1, 50), np.float32))
    np.testing.assert_array_equal(found_NCS, after_NCS[::-1])


def test_a_source_that_was_silent_for_a_window_is_still_known():
    places = Places(2, pitch)
    places(tones(slice(150, 200), [0, 1]), None)
    silence = np.zeros((2, 1, 50), np.float32)
    first_alone = tones(slice(0, 50), [0, 1])
    first_alone[1] = 0
    places(first_alone, silence)
    after_NCS = tones(slice(0, 50), [1, 0])
    np.testing.assert_array_equal(places(after_NCS, silence), after_NCS[::-1])
