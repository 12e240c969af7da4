"""One channel of several. Letters: S samples, s samples of a block, C channels."""

import functools
import sys
from collections.abc import Iterable

import numpy as np

# A mean this far below its channels in power: 20 dB. Channels that have nothing in common lose
# 10 log10(C) dB, 3 of two and 9 of eight; more than that they only lose by cancelling each other.
_CANCELLED = 0.01
# What is said of them.
CANCEL = "its channels cancel each other: their mean is 20 dB or more below them"


class Cancelling:
    """Do channels cancel each other in their mean, all blocks together?

    >>> heard = Cancelling()
    >>> heard.add(np.array([[0.5, -0.5]]), np.array([0.0]))
    >>> heard.found
    True
    """

    def __init__(self) -> None:
        self._power = self._power_of_mean = 0.0

    def add(self, block_SC: np.ndarray, mean_S: np.ndarray) -> None:
        """Hear a block (s, C) and the mean (s,) of its channels."""
        self._power += float(np.vdot(block_SC, block_SC)) / block_SC.shape[1]
        self._power_of_mean += float(np.vdot(mean_S, mean_S))

    @property
    def found(self) -> bool:
        """Whether they do."""
        return self._power_of_mean < _CANCELLED * self._power


def to_mono(blocks: Iterable[np.ndarray], name: str) -> np.ndarray:
    """The mean of the channels of blocks (s, C), as one wave (S,).

    A notice on stderr says once of a file that its channels cancel each other.

    >>> to_mono([np.array([[0.5, 0.25]]), np.array([[1.0, 0.0]])], "a.wav").tolist()
    [0.375, 0.5]
    """
    waves: list[np.ndarray] = []
    cancelling = Cancelling()
    for block_SC in blocks:
        if block_SC.shape[1] == 1:
            waves.append(block_SC[:, 0])
            continue
        wave_S = block_SC.mean(axis=1, dtype=np.float32)
        waves.append(wave_S)
        cancelling.add(block_SC, wave_S)
    if cancelling.found:
        _notice_cancelled(name)
    return waves[0] if len(waves) == 1 else np.concatenate([np.zeros(0, np.float32), *waves])


@functools.cache  # reports each file once per process
def _notice_cancelled(name: str) -> None:
    print(f"notice: {name}: {CANCEL}. Use one of them.", file=sys.stderr)
