"""What counts as clipped."""

import numpy as np

from aio_toolkit.data.clipping import looks_clipped


def test_clipped_waves_are_told_from_loud_ones():
    tone = np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
    assert looks_clipped(np.clip(3 * tone, -1, 1))
    assert not looks_clipped(0.9 * tone)
    assert not looks_clipped(np.zeros(100))
    assert not looks_clipped(np.array([1.0]))
