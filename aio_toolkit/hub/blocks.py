"""Waves that come block by block. Letters: S samples; an ellipsis for whatever stands before."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from aio_toolkit.data.resampling import resampled_length


class Tap:
    """Blocks (..., S) of any sizes, drawn in portions of any other.

    >>> tap = Tap([np.arange(3), np.arange(3, 8)])
    >>> tap.take(2), tap.take(4), tap.take(4), tap.take(4)
    (array([0, 1]), array([2, 3, 4, 5]), array([6, 7]), array([], dtype=int64))
    """

    def __init__(self, blocks: Iterable[np.ndarray]):
        self._blocks = iter(blocks)
        self._waiting: list[np.ndarray] = []

    def take(self, num_samples: int) -> np.ndarray:
        """The next samples: so many, or what is left."""
        found = sum(block.shape[-1] for block in self._waiting)
        while found < num_samples:
            block = next(self._blocks, None)
            if block is None:
                break
            self._waiting.append(block)
            found += block.shape[-1]
        if not self._waiting:
            return np.zeros(0, np.float32)
        together = np.concatenate(self._waiting, axis=-1)
        self._waiting = [together[..., num_samples:]]
        return together[..., :num_samples]


def resampled(blocks: Iterable[np.ndarray], from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """Blocks (..., S) at another rate, without seams; all together rounded up to whole samples.

    >>> halves = resampled([np.zeros((2, 3), np.float32)] * 3, 16000, 8000)
    >>> sum(block.shape[-1] for block in halves)
    5
    """
    if from_rate == to_rate:
        yield from blocks
        return
    # Answers alone need it.
    import soxr

    stream, taken, given = None, 0, 0
    shape: list[int] = []
    for block in blocks:
        *shape, num_samples = block.shape
        if stream is None:
            stream = soxr.ResampleStream(from_rate, to_rate, math.prod(shape), dtype="float32")
        made_SX = stream.resample_chunk(block.reshape(math.prod(shape), num_samples).T)
        taken += num_samples
        given += len(made_SX)
        yield made_SX.T.reshape(*shape, len(made_SX))
    if stream is None:
        return

    last_SX = stream.resample_chunk(np.zeros((0, math.prod(shape)), np.float32), last=True)
    missing = resampled_length(taken, from_rate, to_rate) - given - len(last_SX)
    last_SX = np.pad(last_SX, ((0, max(0, missing)), (0, 0)))
    yield last_SX.T.reshape(*shape, len(last_SX))
