"""Windows and their joints: nothing lost, levels kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.hub.windows import cut, join


def as_it_is(window_NCS, before_NCS):
    return window_NCS


def joined(windows, overlap, order=as_it_is) -> np.ndarray:
    return np.concatenate([*join(windows, overlap, order)], axis=-1)


@given(
    size=st.integers(2, 40),
    overlap=st.integers(1, 39),
    num_samples=st.integers(1, 300),
    block=st.integers(1, 50),
)
def test_windows_cover_everything_and_share_the_overlap(size, overlap, num_samples, block):
    overlap = min(overlap, size - 1)
    wave_CS = np.arange(num_samples)[None]
    blocks = [wave_CS[:, start : start + block] for start in range(0, num_samples, block)]
    spans = [(window[0, 0], window[0, -1] + 1) for window in cut(blocks, size, overlap)]
    assert spans[0][0] == 0
    assert spans[-1][1] == num_samples
    for (_, end), (start, next_end) in zip(spans, spans[1:], strict=False):
        assert end - start == overlap
        assert next_end > end
    assert all(end - start <= size for start, end in spans)


def test_nothing_has_no_windows():
    assert [*cut([], 4, 2)] == []
    assert [*join([], 2, as_it_is)] == []


@given(
    size=st.integers(4, 40),
    overlap=st.integers(1, 20),
    num_samples=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_the_windows_of_a_wave_joined_are_the_wave(size, overlap, num_samples, seed):
    overlap = min(overlap, size - 1)
    wave_CS = np.random.default_rng(seed).standard_normal((2, num_samples)).astype(np.float32)
    windows = [np.stack([window_CS] * 3) for window_CS in cut([wave_CS], size, overlap)]
    np.testing.assert_allclose(joined(windows, overlap), np.stack([wave_CS] * 3), atol=1e-6)


def test_a_window_fades_into_the_next_in_equal_steps():
    found_NCS = joined([np.zeros((1, 1, 6)), np.ones((1, 1, 5))], overlap=3)
    np.testing.assert_allclose(found_NCS[0, 0], [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0])


def test_a_window_is_put_in_order_by_what_stands_before_it():
    asked = []

    def swapped(window_NCS, before_NCS):
        asked.append(None if before_NCS is None else before_NCS.tolist())
        return window_NCS if before_NCS is None else window_NCS[::-1]

    first, second = np.array([[[1.0, 2, 3]], [[4.0, 5, 6]]]), np.array([[[6.0, 7]], [[3.0, 8]]])
    assert joined([first, second], 1, swapped)[:, 0].tolist() == [[1, 2, 3, 8], [4, 5, 6, 7]]
    assert asked == [None, [[[3.0]], [[6.0]]]]


def test_windows_are_left_as_they_were():
    pieces = [np.zeros((1, 1, 4)), np.ones((1, 1, 4))]
    joined(pieces, overlap=2)
    assert (pieces[1] == 1).all()


@pytest.mark.parametrize("num_samples", [1, 2])
def test_a_recording_shorter_than_the_overlap_is_one_window(num_samples):
    wave_CS = np.ones((1, num_samples))
    windows = [window_CS[None] for window_CS in cut([wave_CS], 5, 3)]
    assert len(windows) == 1
    assert joined(windows, 3).shape == (1, 1, num_samples)
