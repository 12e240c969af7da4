"""Writing waves to WAV files. Letters: S samples, C channels."""

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from aio_toolkit.data.audio_stream import check_finite
from aio_toolkit.data.decoder import no_samples
from aio_toolkit.errors import AioError, UnwritableError
from aio_toolkit.files import atomic_path

_FULL_SCALE = 2**15  # of 16-bit samples
# The header of a WAV file counts its bytes in 32 bits.
_MOST_BYTES = 2**32 - 2**12
# SFC_SET_ADD_PEAK_CHUNK of sndfile.h.
_ADD_PEAK_CHUNK = 0x1050


class Subtype(StrEnum):
    """How samples are stored in a WAV file, by libsndfile's names."""

    pcm_16 = "PCM_16"
    float_32 = "FLOAT"


_BYTES = {Subtype.pcm_16: 2, Subtype.float_32: 4}


class WavWriter:
    """A WAV file that is written block by block; it has its name when all of it is there.

    Samples beyond [-1, 1] are clipped in PCM, with a warning on stderr at the end.

    >>> import tempfile
    >>> from aio_toolkit.data.audio import read_audio
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with WavWriter(f"{folder}/a.wav", 8000, num_channels=1) as writer:
    ...         writer.write(np.array([0.5]))
    ...         writer.write(np.array([-0.5, 0.25]))
    ...     read_audio(f"{folder}/a.wav", 8000).tolist()
    [0.5, -0.5, 0.25]
    """

    def __init__(
        self,
        path: Path | str,
        sample_rate: int,
        num_channels: int,
        subtype: Subtype = Subtype.pcm_16,
    ):
        """Tell what the file is to be; entering the context makes it.

        Args:
            path: where it will be.
            sample_rate: Hz.
            num_channels: channels C.
            subtype: 16-bit PCM or 32-bit float.
        """
        self.path = path
        self.sample_rate = sample_rate
        self.num_channels = num_channels
        self.subtype = subtype
        self._stack = contextlib.ExitStack()
        self._written = self._clipped = 0

    def __enter__(self) -> "WavWriter":
        import soundfile

        with self._stack:
            temporary = self._stack.enter_context(atomic_path(self.path))
            options: dict[str, Any] = {"subtype": str(self.subtype), "format": "WAV"}
            file = soundfile.SoundFile(
                temporary, "w", self.sample_rate, self.num_channels, **options
            )
            self._file = self._stack.enter_context(file)
            _leave_out_peak(file)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
        if self._clipped:
            found = f"{self._clipped} of {self._written} samples beyond [-1, 1] are clipped"
            print(f"warning: {self.path}: {found}", file=sys.stderr)

    def write(self, wave_SC: np.ndarray) -> None:
        """Append a wave (S, C), or (S,) of one channel.

        Raises:
            UnwritableError: the disk is full.
            AioError: samples are NaN or Inf, or the file grows too long.
        """
        import soundfile

        check_finite(wave_SC, str(self.path), self._written)
        self._written += len(wave_SC)
        if self._written * self.num_channels * _BYTES[self.subtype] > _MOST_BYTES:
            raise AioError(
                f"{self.path} would be longer than a WAV file can be (4 GB). "
                "Cut the recording, or write 16-bit samples (PCM_16)."
            )
        if self.subtype == Subtype.pcm_16:
            wave_SC = self._to_int16(wave_SC)
        try:
            self._file.write(wave_SC)
        except soundfile.LibsndfileError as error:
            remedy = "Is the disk full? Free some space, then run again."
            raise UnwritableError(f"cannot write {self.path} ({error}). {remedy}") from None

    def _to_int16(self, wave_SC: np.ndarray) -> np.ndarray:
        # Rounded here: libsndfile truncates, and 16-bit audio would not survive reading and
        # writing.
        scaled_SC = np.rint(np.asarray(wave_SC, dtype=np.float64) * _FULL_SCALE)
        self._clipped += int(np.count_nonzero(np.abs(scaled_SC) > _FULL_SCALE))
        return np.clip(scaled_SC, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def _leave_out_peak(file: Any) -> None:
    """Write no chunk of peaks: it holds the time, and the same samples would be other bytes.

    Args:
        file: a `soundfile.SoundFile` to which nothing has been written.
    """
    import soundfile

    # soundfile offers no way to it but its handle.
    soundfile._snd.sf_command(file._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)


def write_wav(
    path: Path | str,
    wave_S: np.ndarray,
    sample_rate: int,
    subtype: Subtype = Subtype.pcm_16,
) -> None:
    """Write a wave (S,), or several channels (S, C), atomically, as 16-bit PCM or 32-bit float.

    Samples beyond [-1, 1] are clipped in PCM, with a warning on stderr.

    Raises:
        AioError: the wave is empty or holds NaN or Inf.

    >>> import tempfile
    >>> from aio_toolkit.data.audio import read_audio
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([1.5]), 8000, Subtype.float_32)
    ...     read_audio(f"{folder}/a.wav", 8000).tolist()
    [1.5]
    """
    wave_S = np.asarray(wave_S)
    if wave_S.ndim not in (1, 2):
        raise ValueError(f"expected a wave of shape (S,) or (S, C), got {wave_S.shape}")
    if not wave_S.size:
        raise no_samples(str(path))
    num_channels = wave_S.shape[1] if wave_S.ndim == 2 else 1
    with WavWriter(path, sample_rate, num_channels, subtype) as writer:
        writer.write(wave_S)
