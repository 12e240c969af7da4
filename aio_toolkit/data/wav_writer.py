"""Writing waves to WAV files. Letters: S samples, C channels."""

import sys
from enum import StrEnum
from pathlib import Path

import numpy as np

from aio_toolkit.data.audio import check_samples
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

_FULL_SCALE = 2**15  # of 16-bit samples


class Subtype(StrEnum):
    """How samples are stored in a WAV file, by libsndfile's names."""

    pcm_16 = "PCM_16"
    float_32 = "FLOAT"


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
    import soundfile

    wave_S = np.asarray(wave_S)
    if wave_S.ndim > 2:
        raise ValueError(f"expected a wave of shape (S,) or (S, C), got {wave_S.shape}")
    check_samples(wave_S, str(path))
    if subtype == Subtype.pcm_16:
        wave_S = _to_int16(wave_S, path)
    with atomic_path(path) as temporary:
        try:
            soundfile.write(temporary, wave_S, sample_rate, subtype=str(subtype), format="WAV")
        except soundfile.LibsndfileError as error:
            remedy = "Is the disk full? Free some space, then run again."
            raise AioError(f"cannot write {path} ({error}). {remedy}") from None


def _to_int16(wave_S: np.ndarray, path: Path | str) -> np.ndarray:
    # Rounded here: libsndfile truncates, and 16-bit audio would not survive reading and writing.
    scaled_S = np.asarray(wave_S, dtype=np.float64) * _FULL_SCALE
    scaled_S = np.rint(scaled_S)

    too_loud_S = np.abs(scaled_S) > _FULL_SCALE
    if too_loud_S.any():
        count = np.count_nonzero(too_loud_S)
        found = f"{count} of {len(wave_S)} samples beyond [-1, 1] are clipped"
        print(f"warning: {path}: {found}", file=sys.stderr)
    clipped_S = np.clip(scaled_S, -_FULL_SCALE, _FULL_SCALE - 1)
    return clipped_S.astype(np.int16)
