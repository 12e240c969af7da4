"""Audio that libsndfile reads: WAV, FLAC, MP3, Ogg, NIST SPHERE, AIFF and more.

Letters: S samples, s samples of a piece, C channels.
"""

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import soundfile

from aio_toolkit.data.audio_lengths import ogg_is_whole, told_samples
from aio_toolkit.data.decoder import CutOff, Decoder, from_sample

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
        here, end = start, self.num_samples
        with contextlib.suppress(soundfile.LibsndfileError):
            # Also to 0: MP3 is read to the bit as `soundfile.read` does it, which seeks first.
            self._file.seek(start)
            while here < end:
                # Not more than there is: room that stays empty would be kept.
                piece_SC = np.empty((min(size, end - here), self.num_channels), np.float32)
                count = self._read(piece_SC, here)
                if count <= 0:
                    break
                here += count
                yield piece_SC[:count]
        if here < end:
            reached = self._file.tell()
            # A jump that ended nowhere does not tell how much there is.
            there = reached if reached >= start else f"less than {start}"
            raise CutOff(self._name, there, end)

    def _read(self, piece_SC: np.ndarray, here: int) -> int:
        """Fill a piece from sample `here` on; how far that went."""
        try:
            return len(self._file.read(out=piece_SC))
        except soundfile.LibsndfileError:
            # What came before the damage is in it.
            return self._file.tell() - here


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
    """
    if not isinstance(source, str):
        source.seek(0)
    with _Sequential(source) as file:
        if file.frames == _UNKNOWN:
            yield None
            return
        told = told_samples(source) if file.format in ("NIST", "AIFF") else None
        # None told, or 0, by what could not know it when it wrote the header.
        native = NativeAudio(file, min(told or file.frames, file.frames), name)
        if told is not None and told > file.frames:
            native.cut_off = CutOff(name, file.frames, told)
        elif file.format == "OGG" and not ogg_is_whole(source):
            native.cut_off = CutOff(name, file.frames)
        yield native
