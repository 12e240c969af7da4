"""The grid of frames."""

import pytest

from aio_toolkit.frames import FrameGrid


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 1), (319, 1), (320, 1), (321, 2), (640, 2)]
)
def test_zeros_complete_the_last_frame(samples, frames):
    assert FrameGrid(16000, 320).num_frames(samples) == frames


def test_frames_a_second_need_not_be_whole():
    assert FrameGrid(44100, 512).frame_rate == pytest.approx(86.1328125)
