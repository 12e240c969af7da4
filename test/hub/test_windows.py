"""Windows and their joints: nothing lost, levels kept, sources in their places."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.hub.windows import Windows, join


@given(size=st.integers(2, 40), overlap=st.integers(1, 39), num_samples=st.integers(1, 300))
def test_windows_cover_everything_and_share_the_overlap(size, overlap, num_samples):
    overlap = min(overlap, size - 1)
    spans = [*Windows(size, overlap).spans(num_samples)]
    assert spans[0][0] == 0
    assert spans[-1][1] == num_samples
    for (_, end), (start, next_end) in zip(spans, spans[1:], strict=False):
        assert end - start == overlap
        assert next_end > end
    assert all(end - start <= size for start, end in spans)


@given(
    size=st.integers(4, 40),
    overlap=st.integers(1, 20),
    num_samples=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_the_windows_of_a_wave_joined_are_the_wave(size, overlap, num_samples, seed):
    windows = Windows(size, min(overlap, size - 1))
    wave_NCS = torch.randn(3, 2, num_samples, generator=torch.Generator().manual_seed(seed))
    pieces = [wave_NCS[..., start:end] for start, end in windows.spans(num_samples)]
    joined_NCS = join(pieces, windows, num_samples, num_equals=0)
    torch.testing.assert_close(joined_NCS, wave_NCS)


def test_a_window_fades_into_the_next_in_equal_steps():
    windows = Windows(size=6, overlap=3)
    pieces = [torch.zeros(1, 1, 6), torch.ones(1, 1, 5)]
    joined_NCS = join(pieces, windows, 8, num_equals=0)
    torch.testing.assert_close(
        joined_NCS[0, 0], torch.tensor([0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0])
    )


def test_equals_keep_their_places_whatever_order_a_window_has_them_in():
    torch.manual_seed(0)
    windows, orders = Windows(size=100, overlap=30), [[0, 1, 2], [2, 0, 1], [1, 0, 2], [2, 1, 0]]
    wave_NCS = torch.randn(3, 1, 310)
    spans = [*windows.spans(310)]
    pieces = [wave_NCS[order, :, a:b] for order, (a, b) in zip(orders, spans, strict=True)]
    torch.testing.assert_close(join(pieces, windows, 310, num_equals=3), wave_NCS)


def test_what_has_a_place_of_its_own_stays_there():
    torch.manual_seed(0)
    windows, wave_NCS = Windows(size=100, overlap=30), torch.randn(3, 1, 170)
    # The residual sounds like the first speaker, and is still the residual.
    pieces = [wave_NCS[..., :100], wave_NCS[[1, 0, 2], :, 70:]]
    torch.testing.assert_close(join(pieces, windows, 170, num_equals=2), wave_NCS)
    swapped_NCS = join(pieces, windows, 170, num_equals=0)
    torch.testing.assert_close(swapped_NCS[0, :, 100:], wave_NCS[1, :, 100:])


def test_pieces_are_left_as_they_were():
    windows, pieces = Windows(size=4, overlap=2), [torch.zeros(1, 1, 4), torch.ones(1, 1, 4)]
    join(pieces, windows, 6, num_equals=0)
    assert pieces[1].eq(1).all()


def test_a_window_too_many_is_refused():
    with pytest.raises(ValueError):
        join([torch.zeros(1, 1, 4)] * 2, Windows(size=4, overlap=2), 4, num_equals=0)
