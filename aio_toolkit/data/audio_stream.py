"""Audio that is read in blocks, and checked on the way.

Letters: S samples, s samples of a block, C channels.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from aio_toolkit.data.decoder import CutOff, Decoder, no_samples
from aio_toolkit.errors import AioError


class AudioStream:
    """Open audio, of which no more than a block is in memory.

    Args:
        decoder: reads it.
        name: what messages call it.
        where: what messages open with.
        channel: the only one that is read, counted from 1; None reads all.
        partial: of a file that ends too early, what is there is read, with a notice on stderr.

    Attributes:
        sample_rate: Hz.
        num_channels: C.
        num_samples: S, as the header says; None where it does not.
        name: what messages call it.
    """

    def __init__(
        self,
        decoder: Decoder,
        name: str,
        where: str = "",
        channel: int | None = None,
        *,
        partial: bool = False,
    ) -> None:
        self.sample_rate, self.name = decoder.sample_rate, name
        self.num_channels = decoder.num_channels if channel is None else 1
        self.num_samples = decoder.num_samples
        self._decoder, self._where, self._channel = decoder, where, channel
        self._partial = partial
        if channel is not None:
            with told_of(where):
                check_channel(channel, decoder.num_channels, name)

    def blocks(self, size: int, start: int = 0) -> Iterator[np.ndarray]:
        """Samples (s, C) float32, full scale 1, from `start` on; each call begins anew.

        Args:
            size: samples of every block but the last, which may have fewer.
            start: how many samples to leave out.

        Raises:
            AioError: a sample is NaN or Inf, or there are none.
            CutOff: the file is cut off.
        """
        if size < 1:
            raise ValueError(f"blocks of {size} samples")
        with told_of(self._where):
            done = start
            for block_SC in _in_blocks(self._pieces(size, start), size):
                check_finite(block_SC, self.name, done)
                done += len(block_SC)
                if self._channel is not None:
                    block_SC = block_SC[:, self._channel - 1 : self._channel]
                yield block_SC
            if done == 0:
                raise no_samples(self.name)

    def _pieces(self, size: int, start: int) -> Iterator[np.ndarray]:
        """What the decoder reads, to the end of the file or of what is there of it."""
        cut_off, found = self._decoder.cut_off, False
        try:
            for piece in self._decoder.pieces(size, start):
                found = True
                yield piece
        except CutOff as error:
            cut_off = error
        if cut_off is None:
            return
        if not found or not self._partial:
            raise cut_off
        print(f"notice: {cut_off.found}; the rest is left out", file=sys.stderr)


def check_channel(channel: int, num_channels: int, name: str) -> None:
    """Refuse a channel that is not there."""
    if not 1 <= channel <= num_channels:
        found = f"{name} has no channel {channel}: it has {num_channels}"
        raise AioError(f"{found}, counted from 1. Choose one of them.")


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
        if not where:
            raise
        raise AioError(f"{where}: {error}") from None


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
