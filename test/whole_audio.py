"""All samples of some audio at once, by the reader of blocks."""

from typing import Any

import numpy as np

from aio_toolkit.data.audio import open_audio

BLOCK = 2**18


def read_channels(spec: Any, channel: int | None = None) -> tuple[np.ndarray, int]:
    """Samples (S, C) and their rate."""
    with open_audio(spec, channel=channel) as stream:
        return np.concatenate([*stream.blocks(BLOCK)]), stream.sample_rate
