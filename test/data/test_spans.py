"""Stretches of recordings."""

import pytest

from aio_toolkit.data.spans import Span


@pytest.mark.parametrize(
    ("start", "size", "frames"),
    [(0, 1, (0, 1)), (0, 320, (0, 1)), (320, 321, (1, 3)), (960, 640, (3, 5))],
)
def test_the_frames_of_a_span_hold_all_its_samples(start, size, frames):
    span = Span(start, size, hop=320)
    assert (span.frames.start, span.frames.stop) == frames
    assert span.stop == start + size
