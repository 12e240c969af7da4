"""What every reader of an audio format offers, and what it says of files that are not in order.

Letters: S samples, s samples of a piece, C channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from aio_toolkit.errors import AioError


class CutOff(AioError):
    """A file that ends too early, or is damaged there.

    Attributes:
        found: the message without its remedy.

    >>> raise CutOff("a.wav", 12, promised=34)
    Traceback (most recent call last):
    aio_toolkit.data.decoder.CutOff: a.wav is cut off or damaged: 12 of 34 samples can be read. ...
    """

    def __init__(self, name: str, there: int | str, promised: int | None = None) -> None:
        samples = f"{there} samples" if promised is None else f"{there} of {promised} samples"
        self.found = f"{name} is cut off or damaged: {samples} can be read"
        remedy = "Copy or make it again; to keep what is there, run: ffmpeg -i OLD NEW.wav"
        super().__init__(f"{self.found}. {remedy}")


class Decoder(ABC):
    """An open audio file.

    Attributes:
        sample_rate: Hz.
        num_channels: C.
        num_samples: S, as the header says; None where it does not.
        may_hold_nan: the samples are floats; PCM cannot hold NaN or Inf.
        cut_off: that the file ends too early, where that was seen when it was opened.
    """

    sample_rate: int
    num_channels: int
    num_samples: int | None = None
    may_hold_nan: bool = False
    cut_off: CutOff | None = None

    @abstractmethod
    def pieces(self, size: int, start: int) -> Iterator[np.ndarray]:
        """Samples (s, C) float32 from one on to the end, each time anew.

        Args:
            size: how many samples a piece should have; it may have others.
            start: how many samples to leave out.

        Raises:
            CutOff: the file is cut off or damaged; told at its end, unless `cut_off` does.
        """

    def ends_as_told(self) -> bool:
        """Whether the last sample that the header tells of is there."""
        return self.num_samples is not None


def from_sample(pieces: Iterator[np.ndarray], start: int) -> Iterator[np.ndarray]:
    """Pieces without their first samples.

    >>> [piece.tolist() for piece in from_sample(iter([np.arange(3), np.arange(2)]), 4)]
    [[1]]
    """
    for piece in pieces:
        if start < len(piece):
            yield piece[start:]
        start = max(0, start - len(piece))


def no_samples(name: str) -> AioError:
    """A file of a header alone."""
    return AioError(f"{name} holds no samples. Make it again, or drop the utterance.")


def not_audio(name: str, reason: str) -> AioError:
    """A file that nothing can decode."""
    return AioError(f"{name} is not audio that can be read ({reason}). Convert it to WAV or FLAC.")
