"""Waves block by block: portions of any size, other rates without seams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.hub.blocks import Tap, resampled


@given(
    sizes=st.lists(st.integers(0, 9), max_size=8), portions=st.lists(st.integers(1, 12), min_size=1)
)
def test_portions_of_blocks_follow_each_other_without_gap_or_repetition(sizes, portions):
    wave_CS = np.arange(2 * sum(sizes)).reshape(2, -1)
    blocks = np.split(wave_CS, np.cumsum(sizes)[:-1], axis=1) if sizes else []
    tap, start = Tap(blocks), 0
    for size in portions:
        taken = tap.take(size)
        want_CS = wave_CS[:, start : start + size]
        assert taken.shape[-1] == want_CS.shape[1]
        if want_CS.size:
            np.testing.assert_array_equal(taken, want_CS)
        start += size


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 16000), (16000, 44100), (8000, 16000)])
@pytest.mark.parametrize("size", [1, 331, 4000])
def test_blocks_have_no_seams_at_another_rate(from_rate, to_rate, size):
    wave_CS = np.random.default_rng(0).standard_normal((2, 3, 2500)).astype(np.float32)
    blocks = [wave_CS[..., start : start + size] for start in range(0, 2500, size)]
    (whole,) = [np.concatenate([*resampled([wave_CS], from_rate, to_rate)], axis=-1)]
    found = np.concatenate([*resampled(blocks, from_rate, to_rate)], axis=-1)
    np.testing.assert_allclose(found, whole, atol=1e-6)


@given(num_samples=st.integers(1, 3000), rate=st.sampled_from([8000, 11025, 22050, 44100]))
def test_there_and_back_no_sample_is_lost(num_samples, rate):
    wave_CS = np.zeros((1, num_samples), np.float32)
    there = [*resampled([wave_CS], rate, 16000)]
    assert sum(block.shape[-1] for block in there) == -(-num_samples * 16000 // rate)
    back = sum(block.shape[-1] for block in resampled(there, 16000, rate))
    assert back >= num_samples


def test_at_its_own_rate_a_wave_is_not_touched():
    blocks = [np.ones((2, 5)), np.zeros((2, 3))]
    assert all(a is b for a, b in zip(resampled(blocks, 8000, 8000), blocks, strict=True))


def test_a_tone_is_the_same_tone_after_the_way_there_and_back():
    time_S = np.arange(44100) / 44100
    tone_S = np.sin(2 * np.pi * 440 * time_S).astype(np.float32)
    back = [*resampled(resampled([tone_S[None]], 44100, 16000), 16000, 44100)]
    back_CS = np.concatenate(back, axis=1)[:, :44100]
    # Its ends are those of the filters.
    np.testing.assert_allclose(back_CS[0, 500:-500], tone_S[500:-500], atol=2e-3)
