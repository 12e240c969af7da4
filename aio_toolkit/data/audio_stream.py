"""Audio that is read in blocks, and checked on the way.

Letters: S samples, s samples of a block, C channels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from aio_toolkit.data.decoder import Decoder, no_samples
from aio_toolkit.errors import AioError


class AudioStream:
    """Open audio, of which no more than a block is in memory.

    Args:
        decoder: reads it.
        name: what messages call it.
        where: what messages open with.
        channel: the only one that is read, counted from 1; None reads all.

    Attributes:
        sample_rate: Hz.
        num_channels: C.
        num_samples: S, as the header says; None where it does not.
        name: what messages call it.
    """

    def __init__(
        self, decoder: Decoder, name: str, where: str = "", channel: int | None = None
    ) -> None:
        self.sample_rate, self.name = decoder.sample_rate, name
        self.num_channels = decoder.num_channels if channel is None else 1
        self.num_samples = decoder.num_samples
        self._decoder, self._where, self._channel = decoder, where, channel
        if channel is not None and not 1 <= channel <= decoder.num_channels:
            with told_of(where):
                found = f"{name} has no channel {channel}: it has {decoder.num_channels}"
                raise AioError(f"{found}, counted from 1. Choose one of them.")

    def blocks(self, size: int, start: int = 0) -> Iterator[np.ndarray]:
        """Samples (s, C) float32, full scale 1, from `start` on; each call begins anew.

        Args:
            size: samples of every block but the last, which may have fewer.
            start: how many samples to leave out.

        Raises:
            AioError: a sample is NaN or Inf, there are none, or the file is cut off.
        """
        if size < 1:
            raise ValueError(f"blocks of {size} samples")
        with told_of(self._where):
            done = start
            for block_SC in _in_blocks(self._decoder.pieces(size, start), size):
                check_finite(block_SC, self.name, done)
                done += len(block_SC)
                if self._channel is not None:
                    block_SC = block_SC[:, self._channel - 1 : self._channel]
                yield block_SC
            if done == 0:
                raise no_samples(self.name)


def check_samples(samples: np.ndarray, spec: str) -> None:
    """Refuse nothing, NaN and Inf in samples (S,) or (S, C)."""
    if samples.size == 0:
        raise no_samples(spec)
    check_finite(samples, spec)


def check_finite(samples: np.ndarray, name: str, first: int = 0) -> None:
    """Refuse NaN and Inf in samples (s,) or (s, C), the first of which has that number."""
    finite = np.isfinite(samples)
    if not finite.all():
        finite_S = finite.reshape(len(samples), -1).all(axis=1)
        found = f"{name} holds NaN or Inf, first at sample {first + int(np.argmin(finite_S))}"
        raise AioError(f"{found}. Make it again, or drop the utterance.")


@contextmanager
def told_of(where: str) -> Iterator[None]:
    """Errors open with what they are of.

    >>> with told_of("wav.scp: a"):
    ...     raise AioError("a.wav does not exist.")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: wav.scp: a: a.wav does not exist.
    """
    try:
        yield
    except AioError as error:
        raise AioError(f"{where}: {error}" if where else str(error)) from None


def _in_blocks(pieces: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Pieces of any sizes as blocks of one.

    >>> [block.tolist() for block in _in_blocks(iter([np.arange(3), np.arange(2)]), 2)]
    [[0, 1], [2, 0], [1]]
    """
    held: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count < size:
            continue
        joined = held[0] if len(held) == 1 else np.concatenate(held)
        whole = count - count % size
        for first in range(0, whole, size):
            yield joined[first : first + size]
        count -= whole
        held = [joined[whole:]] if count else []
    if count:
        yield np.concatenate(held)
