"""Reading and writing waves: files, Kaldi pipes (`cmd |`) and ark offsets (`file.ark:123`)."""

import functools
import io
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

# Kaldi appends the range of rows to some offsets: `file.ark:123[0:99]`.
_ARK_OFFSET = re.compile(r"(?P<ark>.+):(?P<offset>\d+)(\[[\d:,]*\])?")

_FULL_SCALE = 2**15  # of 16-bit samples


class Subtype(StrEnum):
    """How samples are stored in a WAV file, by libsndfile's names."""

    pcm_16 = "PCM_16"
    float_32 = "FLOAT"


@dataclass(frozen=True)
class AudioHeader:
    """What a header says of an audio file.

    Attributes:
        num_samples: samples per channel, at the file's own rate.
        sample_rate: Hz.
        may_hold_nan: the samples are floats; PCM cannot hold NaN or Inf.
    """

    num_samples: int
    sample_rate: int
    may_hold_nan: bool


def read_audio(spec: str, sample_rate: int, where: str = "") -> np.ndarray:
    """Read one wave.

    Args:
        spec: a path, a Kaldi pipe `cmd |`, or an ark offset `file.ark:123`.
        sample_rate: Hz of the result. Other rates are resampled; a notice on stderr says so once.
        where: what error messages open with, for instance "data/dev/wav.scp: asr-0001".

    Returns:
        (S,) float32 in [-1, 1]. Several channels are averaged to one.

    Raises:
        AioError: the file is missing, empty or not audio, a command failed, or a sample is NaN or
            Inf.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([0.5, -0.25]), sample_rate=8000)
    ...     read_audio(f"cat {folder}/a.wav |", sample_rate=8000).tolist()
    [0.5, -0.25]
    """
    try:
        samples_SC, rate = _load(spec)
        _check_samples(samples_SC, spec)
    except AioError as error:
        raise AioError(f"{where}: {error}" if where else str(error)) from None
    wave_S = samples_SC.mean(axis=1, dtype=np.float32)
    if rate == sample_rate:
        return wave_S
    notice_resampling(rate, sample_rate)
    return resample(wave_S, rate, sample_rate)


def read_header(spec: str) -> AudioHeader | None:
    """The header of a plain audio file, without its samples; None for pipes and ark offsets.

    Raises:
        AioError: the file is missing, empty or not audio.
    """
    if is_pipe(spec) or is_ark_offset(spec):
        return None
    import soundfile

    _check_path(spec)
    try:
        info = soundfile.info(spec)
    except soundfile.LibsndfileError as error:
        raise _not_audio(spec, error) from None
    if info.frames == 0:
        raise _no_samples(spec)
    may_hold_nan = info.subtype in ("FLOAT", "DOUBLE")
    return AudioHeader(info.frames, info.samplerate, may_hold_nan)


def resample(wave_S: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample a wave by a polyphase filter, in its own precision.

    Returns:
        A wave of `resampled_length(S, from_rate, to_rate)` samples.

    >>> resample(np.zeros(441), 44100, 16000).shape
    (160,)
    """
    # Imported here, as scipy.signal takes a second and most corpora need no resampling.
    from scipy.signal import resample_poly

    divisor = math.gcd(from_rate, to_rate)
    return resample_poly(wave_S, to_rate // divisor, from_rate // divisor)


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Samples that `resample` makes of `num_samples`.

    >>> resampled_length(1000, 44100, 16000)
    363
    """
    # Rounded up, as resample_poly does.
    return math.ceil(Fraction(num_samples * to_rate, from_rate))


@functools.cache  # reports each pair of rates once per process
def notice_resampling(from_rate: int, to_rate: int) -> None:
    """Say once that audio of another rate is being resampled."""
    notice = f"audio at {from_rate} Hz is resampled to {to_rate} Hz while reading"
    print(f"notice: {notice}", file=sys.stderr)


def write_wav(
    path: Path | str,
    wave_S: np.ndarray,
    sample_rate: int,
    subtype: Subtype = Subtype.pcm_16,
) -> None:
    """Write a wave atomically, as 16-bit PCM or 32-bit float.

    Samples beyond [-1, 1] are clipped in PCM, with a warning on stderr.

    Raises:
        AioError: the wave is empty or holds NaN or Inf.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([1.5]), 8000, Subtype.float_32)
    ...     read_audio(f"{folder}/a.wav", 8000).tolist()
    [1.5]
    """
    import soundfile

    wave_S = np.asarray(wave_S)
    if wave_S.ndim != 1:
        raise ValueError(f"expected a mono wave of shape (S,), got {wave_S.shape}")
    _check_samples(wave_S, str(path))
    if subtype == Subtype.pcm_16:
        wave_S = _to_int16(wave_S, path)
    with atomic_path(path) as temporary:
        try:
            soundfile.write(temporary, wave_S, sample_rate, subtype=str(subtype), format="WAV")
        except soundfile.LibsndfileError as error:
            remedy = "Is the disk full? Free some space, then run again."
            raise AioError(f"cannot write {path} ({error}). {remedy}") from None


def is_pipe(spec: str) -> bool:
    """Whether `spec` is a Kaldi pipe: a command whose output is the audio.

    >>> is_pipe("sph2pipe -f wav a.sph |")
    True
    """
    return spec.rstrip().endswith("|")


def is_ark_offset(spec: str) -> bool:
    """Whether `spec` points into a Kaldi archive. An existing file of that name takes precedence.

    >>> is_ark_offset("waves.ark:123"), is_ark_offset("waves.wav")
    (True, False)
    """
    if Path(spec).is_file():
        return False
    return _ARK_OFFSET.fullmatch(spec) is not None


def _load(spec: str) -> tuple[np.ndarray, int]:
    """Samples (S, C) and rate of anything that a `wav.scp` may name."""
    if is_pipe(spec):
        return _load_pipe(spec)
    if is_ark_offset(spec):
        return _load_ark(spec)
    _check_path(spec)
    return _decode(spec, spec)


def _load_pipe(spec: str) -> tuple[np.ndarray, int]:
    command = spec.rstrip().removesuffix("|").strip()
    # Without pipefail the failure of any command but the last would pass for a short recording.
    shell = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(shell, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").split()
        said = " ".join(words[-40:]) or "it said nothing"
        failure = f"failed with status {done.returncode}: {said}"
        raise AioError(f"command '{command}' {failure}. Run it by hand and fix the line.")
    if not done.stdout:
        raise AioError(f"command '{command}' wrote no audio. Run it by hand and fix the line.")
    return _decode(io.BytesIO(done.stdout), spec)


def _load_ark(spec: str) -> tuple[np.ndarray, int]:
    import kaldiio

    match = _ARK_OFFSET.fullmatch(spec)
    assert match is not None, "the caller asks is_ark_offset first"
    _check_path(match["ark"])
    try:
        loaded = kaldiio.load_mat(spec)
    except Exception as error:  # kaldiio raises whatever its parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = "Write the archive and its scp again."
        raise AioError(f"no audio can be read at {spec}: {reason}. {remedy}") from None
    if not isinstance(loaded, tuple):
        remedy = "Check that this is the right scp."
        raise AioError(f"{spec} holds a matrix without a sample rate, not audio. {remedy}")

    rate, samples = loaded
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    return samples.reshape(len(samples), -1), int(rate)


def _decode(source: str | io.BytesIO, spec: str) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        return soundfile.read(source, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _not_audio(spec, error) from None


def _check_path(path: str) -> None:
    if not Path(path).exists():
        remedy = "Fix the path, or run the data preparation again."
        raise AioError(f"audio file {path} does not exist. {remedy}")
    if not Path(path).is_file():
        raise AioError(f"{path} is not a file. Fix the path.")
    if Path(path).stat().st_size == 0:
        remedy = "Make it again, or drop the utterance."
        raise AioError(f"audio file {path} is empty (0 bytes). {remedy}")


def _check_samples(samples: np.ndarray, spec: str) -> None:
    """Refuse nothing, NaN and Inf in samples (S,) or (S, C)."""
    if samples.size == 0:
        raise _no_samples(spec)
    finite = np.isfinite(samples)
    if not finite.all():
        finite_S = finite.reshape(len(samples), -1).all(axis=1)
        first = int(np.argmin(finite_S))
        found = f"{spec} holds NaN or Inf, first at sample {first}"
        raise AioError(f"{found}. Make it again, or drop the utterance.")


def _no_samples(spec: str) -> AioError:
    return AioError(f"{spec} holds no samples. Make it again, or drop the utterance.")


def _not_audio(spec: str, error: Exception) -> AioError:
    reason = str(getattr(error, "error_string", error)).rstrip(".")
    remedy = "Convert it to WAV or FLAC."
    return AioError(f"{spec} is not audio that libsndfile can read ({reason}). {remedy}")


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
