"""Reading and writing waves: files, Kaldi pipes (`cmd |`) and ark offsets (`file.ark:123`)."""

import functools
import io
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

ARK_OFFSET = re.compile(r"(?P<ark>.+):(?P<offset>\d+)(\[[\d:,]*\])?")


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
        sample_rate: Hz of the result. Other rates are resampled; a notice on stderr says so once per rate.
        where: what error messages open with, for instance "data/dev/wav.scp: asr-0001".

    Returns:
        (S,) float32 in [-1, 1]. Several channels are averaged to one.

    Raises:
        AioError: the file is missing, empty or not audio, a command failed, or a sample is NaN or Inf.
    """
    try:
        samples_SC, rate = _load(spec)
        _check_samples(samples_SC, spec)
    except AioError as error:
        raise AioError(f"{where}: {error}" if where else str(error)) from None
    wave = samples_SC.mean(axis=1, dtype=np.float32)
    return wave if rate == sample_rate else resample(wave, rate, sample_rate)


def read_header(spec: str) -> AudioHeader | None:
    """The header of a plain audio file, without reading its samples; None for pipes and ark offsets.

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
    return AudioHeader(num_samples=info.frames, sample_rate=info.samplerate, may_hold_nan=may_hold_nan)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample (S,) by a polyphase filter; the length becomes `resampled_length(S, ...)`."""
    from scipy.signal import resample_poly

    notice_resampling(from_rate, to_rate)
    divisor = math.gcd(from_rate, to_rate)
    return resample_poly(wave, to_rate // divisor, from_rate // divisor).astype(np.float32)


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Samples that `resample` makes of `num_samples`."""
    return -(-num_samples * to_rate // from_rate)


@functools.cache  # so that it speaks once per pair of rates and process
def notice_resampling(from_rate: int, to_rate: int) -> None:
    """Say once that audio of another rate is being resampled."""
    print(f"notice: audio at {from_rate} Hz is resampled to {to_rate} Hz while reading", file=sys.stderr)


def write_wav(
    path: Path | str, wave: np.ndarray, sample_rate: int, subtype: Literal["PCM_16", "FLOAT"] = "PCM_16"
) -> None:
    """Write a wave (S,) atomically, as 16-bit PCM or 32-bit float.

    Samples beyond [-1, 1] are clipped in PCM, with a warning on stderr.

    Raises:
        AioError: the wave is empty or holds NaN or Inf.
    """
    import soundfile

    wave = np.asarray(wave)
    if wave.ndim != 1:
        raise ValueError(f"expected a mono wave of shape (S,), got {wave.shape}")
    _check_samples(wave, str(path))
    if subtype == "PCM_16":
        wave = _to_int16(wave, path)
    with atomic_path(path) as temporary:
        try:
            soundfile.write(temporary, wave, sample_rate, subtype=subtype, format="WAV")
        except soundfile.LibsndfileError as error:
            raise AioError(
                f"cannot write {path} ({error}). Is the disk full? Free some space, then run again."
            ) from None


def is_pipe(spec: str) -> bool:
    """Whether `spec` is a Kaldi pipe: a command whose output is the audio."""
    return spec.rstrip().endswith("|")


def is_ark_offset(spec: str) -> bool:
    """Whether `spec` points into a Kaldi archive: `file.ark:123`. A file of that very name goes first."""
    return ARK_OFFSET.fullmatch(spec) is not None and not Path(spec).is_file()


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
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split()[-40:])
        raise AioError(
            f"command '{command}' failed with status {done.returncode}: {said or 'it said nothing'}. "
            "Run it by hand and mend the line."
        )
    if not done.stdout:
        raise AioError(f"command '{command}' wrote no audio. Run it by hand and mend the line.")
    return _decode(io.BytesIO(done.stdout), spec)


def _load_ark(spec: str) -> tuple[np.ndarray, int]:
    import kaldiio

    _check_path(ARK_OFFSET.fullmatch(spec)["ark"])
    try:
        loaded = kaldiio.load_mat(spec)
    except Exception as error:  # kaldiio raises whatever its parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AioError(f"no audio can be read at {spec}: {reason}. Write the archive and its scp again.") from None
    if not isinstance(loaded, tuple):
        raise AioError(f"{spec} holds a matrix without a sample rate, not audio. Check that this is the right scp.")
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
        raise AioError(f"audio file {path} does not exist. Mend the path, or run the data preparation again.")
    if not Path(path).is_file():
        raise AioError(f"{path} is not a file. Mend the path.")
    if Path(path).stat().st_size == 0:
        raise AioError(f"audio file {path} is empty (0 bytes). Make it again, or drop the utterance.")


def _check_samples(samples: np.ndarray, spec: str) -> None:
    if samples.size == 0:
        raise _no_samples(spec)
    if not np.isfinite(samples).all():
        first = int(np.argmin(np.isfinite(samples).reshape(len(samples), -1).all(axis=1)))
        raise AioError(f"{spec} holds NaN or Inf, first at sample {first}. Make it again, or drop the utterance.")


def _no_samples(spec: str) -> AioError:
    return AioError(f"{spec} holds no samples. Make it again, or drop the utterance.")


def _not_audio(spec: str, error: Exception) -> AioError:
    reason = str(getattr(error, "error_string", error)).rstrip(".")
    return AioError(f"{spec} is not audio that libsndfile can read ({reason}). Convert it to WAV or FLAC.")


def _to_int16(wave: np.ndarray, path: Path | str) -> np.ndarray:
    # Our own rounding: libsndfile truncates, and then 16-bit audio would not survive reading and writing.
    scaled = np.rint(np.asarray(wave, dtype=np.float64) * 2**15)
    clipped = int(np.count_nonzero((scaled > 2**15) | (scaled < -(2**15))))
    if clipped:
        print(f"warning: {path}: {clipped} of {len(wave)} samples beyond [-1, 1] are clipped", file=sys.stderr)
    return np.clip(scaled, -(2**15), 2**15 - 1).astype(np.int16)
