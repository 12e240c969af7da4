"""Audio that libsndfile reads: WAV, FLAC, MP3, Ogg, NIST SPHERE, AIFF and more.

Letters: S samples, s samples of a piece, C channels.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import soundfile

from aio_toolkit.data.audio_lengths import ogg_is_whole, told_samples
from aio_toolkit.data.decoder import Decoder, cut_off, from_sample

# What libsndfile calls the length of a FLAC file whose header does not tell it.
_UNKNOWN = 2**63 - 1
# Where each sample stands for itself, and in FLAC, which is called PCM too, jumps are exact. Other
# decoders do not give the samples behind a jump that they give without one.
_JUMPS = re.compile("PCM_.*|FLOAT|DOUBLE|ULAW|ALAW")


class NativeAudio(Decoder):
    """A file that libsndfile has open, and of which the first `num_samples` count."""

    def __init__(self, file: "_Sequential", num_samples: int, name: str) -> None:
        self.sample_rate, self.num_channels = file.samplerate, file.channels
        self.num_samples: int = num_samples
        self.may_hold_nan = file.subtype in ("FLOAT", "DOUBLE")
        self._file, self._name = file, name

    def pieces(self, size: int, start: int) -> Iterator[np.ndarray]:
        """Pieces of exactly that size, but for the last."""
        if _JUMPS.fullmatch(self._file.subtype):
            return self._from(min(start, self.num_samples), size)
        return from_sample(self._from(0, size), start)

    def ends_as_told(self) -> bool:
        """Whether the last sample can be read."""
        try:
            self._file.seek(self.num_samples - 1)
            return len(self._file.read(1)) == 1
        except soundfile.LibsndfileError:
            return False

    def _from(self, start: int, size: int) -> Iterator[np.ndarray]:
        left = self.num_samples - start
        try:
            # Also to 0: MP3 is read to the bit as `soundfile.read` does it, which seeks first.
            self._file.seek(start)
            while left:
                # Not more than there is: room that stays empty would be kept.
                piece = self._file.read(min(size, left), dtype="float32", always_2d=True)
                if len(piece) == 0:
                    break
                left -= len(piece)
                yield piece
        except soundfile.LibsndfileError:
            pass
        if left:
            reached = self._file.tell()
            # A jump that ended nowhere does not tell how much there is.
            there = reached if reached >= start else f"less than {start}"
            raise cut_off(self._name, there, self.num_samples)


class _Sequential(soundfile.SoundFile):
    """A file that is read on without a jump to where reading has come to anyway.

    After each block, soundfile seeks there in files that are seekable; MP3 and Opus give other
    samples then.
    """

    def seekable(self) -> bool:
        """It is not."""
        return False


@contextmanager
def open_native(source: str | BinaryIO, name: str) -> Iterator[NativeAudio | None]:
    """Open a path, or a file object.

    Yields:
        None where the file does not tell how long it is: libsndfile does not find its end.

    Raises:
        LibsndfileError: libsndfile does not know the format.
        AioError: the file is cut off.
    """
    if not isinstance(source, str):
        source.seek(0)
    with _Sequential(source) as file:
        if file.format == "OGG" and not ogg_is_whole(source):
            raise cut_off(name, file.frames)
        if file.frames == _UNKNOWN:
            yield None
            return
        told = told_samples(source) if file.format in ("NIST", "AIFF") else None
        if told is not None and told > file.frames:
            raise cut_off(name, file.frames, told)
        # None told, or 0, by what could not know it when it wrote the header.
        yield NativeAudio(file, told or file.frames, name)
