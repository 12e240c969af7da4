"""Reading waves: files, Kaldi pipes (`cmd |`) and ark offsets (`file.ark:123`)."""

import io
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aio_toolkit.data.foreign_audio import decode_foreign
from aio_toolkit.data.resampling import notice_resampling, resample
from aio_toolkit.errors import AioError

# Kaldi appends the range of rows to some offsets: `file.ark:123[0:99]`.
_ARK_OFFSET = re.compile(r"(?P<ark>.+):(?P<offset>\d+)(\[[\d:,]*\])?")


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
        spec: a path, a Kaldi pipe `cmd |`, or an ark offset `file.ark:123`. Files may be anything
            that libsndfile or FFmpeg's libraries read.
        sample_rate: Hz of the result. Other rates are resampled; a notice on stderr says so once.
        where: what error messages open with, for instance "data/dev/wav.scp: asr-0001".

    Returns:
        (S,) float32 in [-1, 1]. Several channels are averaged to one.

    Raises:
        AioError: the file is missing, empty or not audio, a command failed, or a sample is NaN or
            Inf.

    >>> import tempfile
    >>> from aio_toolkit.data.wav_writer import write_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([0.5, -0.25]), sample_rate=8000)
    ...     read_audio(f"cat {folder}/a.wav |", sample_rate=8000).tolist()
    [0.5, -0.25]
    """
    samples_SC, rate = read_channels(spec, where)
    wave_S = _to_mono(samples_SC)
    if rate == sample_rate:
        return wave_S
    notice_resampling(rate, sample_rate)
    return resample(wave_S, rate, sample_rate)


def read_channels(spec: str, where: str = "") -> tuple[np.ndarray, int]:
    """Read all channels of a wave as they are.

    Args:
        spec: as in `read_audio`.
        where: what error messages open with.

    Returns:
        (S, C) float32 in [-1, 1], and their rate in Hz.

    Raises:
        AioError: as `read_audio`.
    """
    with _told_of(where):
        samples_SC, rate = _load(spec)
        check_samples(samples_SC, spec)
    return samples_SC, rate


def read_span(
    spec: str, sample_rate: int, start: int, num_samples: int, where: str = ""
) -> np.ndarray:
    """Read a stretch of a wave; of a plain file no more than that.

    Args:
        spec: as in `read_audio`.
        sample_rate: Hz of the result.
        start: its first sample, at that rate.
        num_samples: how many.
        where: what error messages open with.

    Raises:
        AioError: as `read_audio`, or the wave ends before the stretch does.

    >>> import tempfile
    >>> from aio_toolkit.data.wav_writer import write_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([0.5, -0.25, 0.125]), sample_rate=8000)
    ...     read_span(f"{folder}/a.wav", 8000, start=1, num_samples=2).tolist()
    [-0.25, 0.125]
    """
    if is_pipe(spec) or is_ark_offset(spec):
        wave_S = read_audio(spec, sample_rate, where)[start : start + num_samples]
    else:
        with _told_of(where):
            wave_S = _read_part(spec, sample_rate, start, num_samples)
    lacking = num_samples - len(wave_S)
    if lacking > 0:
        with _told_of(where):
            problem = f"{spec} ends {lacking} samples before the data dir says"
            raise AioError(f"{problem}. Run stage 1 again.")
    return wave_S


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
    except soundfile.LibsndfileError:
        # Their headers may only estimate how long they are.
        samples_SC, rate = _decode(spec, spec)
        return AudioHeader(len(samples_SC), rate, may_hold_nan=False)
    if info.frames == 0:
        raise _no_samples(spec)
    may_hold_nan = info.subtype in ("FLOAT", "DOUBLE")
    return AudioHeader(info.frames, info.samplerate, may_hold_nan)


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


def check_samples(samples: np.ndarray, spec: str) -> None:
    """Refuse nothing, NaN and Inf in samples (S,) or (S, C)."""
    if samples.size == 0:
        raise _no_samples(spec)
    finite = np.isfinite(samples)
    if not finite.all():
        finite_S = finite.reshape(len(samples), -1).all(axis=1)
        first = int(np.argmin(finite_S))
        found = f"{spec} holds NaN or Inf, first at sample {first}"
        raise AioError(f"{found}. Make it again, or drop the utterance.")


def _to_mono(samples_SC: np.ndarray) -> np.ndarray:
    """The mean of all channels."""
    return samples_SC.mean(axis=1, dtype=np.float32)


@contextmanager
def _told_of(where: str) -> Iterator[None]:
    """Errors open with what they are of."""
    try:
        yield
    except AioError as error:
        raise AioError(f"{where}: {error}" if where else str(error)) from None


def _read_part(spec: str, sample_rate: int, start: int, num_samples: int) -> np.ndarray:
    """A stretch of a plain file; all of it is read where its rate is another."""
    import soundfile

    _check_path(spec)
    try:
        with soundfile.SoundFile(spec) as file:
            if file.samplerate != sample_rate:
                return read_audio(spec, sample_rate)[start : start + num_samples]
            file.seek(min(start, file.frames))
            samples_SC = file.read(num_samples, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return read_audio(spec, sample_rate)[start : start + num_samples]
    if samples_SC.size:
        check_samples(samples_SC, spec)
    return _to_mono(samples_SC)


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
        if isinstance(source, io.BytesIO):
            source.seek(0)
        decoded = decode_foreign(source, spec)
        if decoded is None:
            raise _not_audio(spec, error) from None
        return decoded


def _check_path(path: str) -> None:
    if not Path(path).exists():
        remedy = "Fix the path, or run the data preparation again."
        raise AioError(f"audio file {path} does not exist. {remedy}")
    if not Path(path).is_file():
        raise AioError(f"{path} is not a file. Fix the path.")
    if Path(path).stat().st_size == 0:
        remedy = "Make it again, or drop the utterance."
        raise AioError(f"audio file {path} is empty (0 bytes). {remedy}")


def _no_samples(spec: str) -> AioError:
    return AioError(f"{spec} holds no samples. Make it again, or drop the utterance.")


def _not_audio(spec: str, error: Exception) -> AioError:
    reason = str(getattr(error, "error_string", error)).rstrip(".")
    remedy = "Convert it to WAV or FLAC."
    return AioError(f"{spec} is not audio that can be read ({reason}). {remedy}")
