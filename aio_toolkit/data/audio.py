"""Reading waves: files, Kaldi pipes (`cmd |`), ark offsets (`file.ark:123`), stretches of
them (`a.wav#t=1.5,3`) and streams.

Letters: S samples, s samples of a block, C channels.
"""

import functools
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aio_toolkit.data.ark import is_ark_offset
from aio_toolkit.data.audio_source import is_pipe, name_of, open_source
from aio_toolkit.data.audio_stream import AudioStream, check_channel, check_samples, told_of
from aio_toolkit.data.mono import to_mono
from aio_toolkit.data.resampling import notice_resampling, resample, resampled_length
from aio_toolkit.data.segments import split_stretch
from aio_toolkit.errors import AioError

__all__ = [
    "AudioHeader",
    "AudioStream",
    "check_channel",
    "check_samples",
    "count_samples",
    "is_ark_offset",
    "is_pipe",
    "length_at",
    "open_audio",
    "read_audio",
    "read_header",
    "read_span",
]

# Samples of a block where all are wanted, and of the largest, if a header can be believed.
_BLOCK, _LARGEST = 2**18, 2**28


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


@contextmanager
def open_audio(
    spec: str | BinaryIO, where: str = "", channel: int | None = None, *, partial: bool = False
) -> Iterator[AudioStream]:
    """Open audio to read it in blocks; of a file no more than a block is in memory.

    Args:
        spec: as in `read_audio`, or a binary stream, such as `sys.stdin.buffer`, which is read to
            its end.
        where: what error messages open with.
        channel: the only one to be read, counted from 1; None reads all.
        partial: of a file that ends too early, read what is there, with a notice on stderr.

    Raises:
        AioError: as `read_audio`, or there is no such channel.

    >>> import tempfile
    >>> from aio_toolkit.data.wav_writer import write_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([0.5, -0.25, 0.125]), sample_rate=8000)
    ...     with open_audio(f"{folder}/a.wav") as stream:
    ...         print(stream.sample_rate, [len(block_SC) for block_SC in stream.blocks(2)])
    8000 [2, 1]
    """
    with ExitStack() as stack:
        with told_of(where):
            decoder = stack.enter_context(open_source(spec, partial=partial))
        yield AudioStream(decoder, name_of(spec), where, channel, partial=partial)


def read_audio(spec: str, sample_rate: int, where: str = "") -> np.ndarray:
    """Read one wave.

    Args:
        spec: a path, a Kaldi pipe `cmd |`, or an ark offset `file.ark:123`; with `#t=1.5,3` behind
            it, its stretch from 1.5 s to 3 s. Files may be anything that libsndfile or FFmpeg's
            libraries read.
        sample_rate: Hz of the result. Other rates are resampled; a notice on stderr says so once.
        where: what error messages open with, for instance "data/dev/wav.scp: asr-0001".

    Returns:
        (S,) float32 in [-1, 1]. Several channels are averaged to one.

    Raises:
        AioError: the file is missing, empty, cut off or not audio, a command failed, or a sample is
            NaN or Inf.

    >>> import tempfile
    >>> from aio_toolkit.data.wav_writer import write_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([0.5, -0.25]), sample_rate=8000)
    ...     read_audio(f"cat {folder}/a.wav |", sample_rate=8000).tolist()
    [0.5, -0.25]
    """
    with open_audio(spec, where) as stream:
        return _wave_at(sample_rate, stream)


def read_span(
    spec: str, sample_rate: int, start: int, num_samples: int, where: str = ""
) -> np.ndarray:
    """Read a stretch of a wave; of a plain file no more than that.

    Args:
        spec: a path, a Kaldi pipe, or an ark offset.
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
    with open_audio(spec, where) as stream:
        if stream.sample_rate == sample_rate:
            blocks = stream.blocks(max(1, num_samples), start)
            wave_S = to_mono(itertools.islice(blocks, 1), stream.name)[:num_samples]
        else:
            wave_S = _wave_at(sample_rate, stream)[start : start + num_samples]
    lacking = num_samples - len(wave_S)
    if lacking > 0:
        with told_of(where):
            problem = f"{spec} ends {lacking} samples before the data dir says"
            raise AioError(f"{problem}. Run stage 1 again.")
    return wave_S


def read_header(spec: str) -> AudioHeader | None:
    """What reading a plain audio file would give; None for pipes and ark offsets.

    Its samples are left alone where the header is certain. Where it is none, as in MP3 without a
    table of contents, they are counted, once as long as the file does not change.

    Raises:
        AioError: the file is missing, empty, cut off or not audio.
    """
    recording, _ = split_stretch(spec)
    if is_pipe(recording) or is_ark_offset(recording):
        return None
    with open_source(spec) as decoder:
        if decoder.ends_as_told():
            assert decoder.num_samples is not None
            return AudioHeader(decoder.num_samples, decoder.sample_rate, decoder.may_hold_nan)
    status = os.stat(recording)
    return _counted(spec, status.st_size, status.st_mtime_ns)


def count_samples(spec: str, where: str = "") -> AudioHeader:
    """What a header would say of a wave, by reading all of it, a block at a time.

    Args:
        spec: as in `read_audio`.
        where: what error messages open with.

    Raises:
        AioError: as `read_audio`; so its samples hold no NaN.

    >>> import tempfile
    >>> from aio_toolkit.data.wav_writer import write_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", np.array([0.5, -0.25]), sample_rate=8000)
    ...     count_samples(f"cat {folder}/a.wav |")
    AudioHeader(num_samples=2, sample_rate=8000, may_hold_nan=False)
    """
    with open_audio(spec, where) as stream:
        num_samples = sum(len(block_SC) for block_SC in stream.blocks(_BLOCK))
        return AudioHeader(num_samples, stream.sample_rate, may_hold_nan=False)


def length_at(spec: str, sample_rate: int) -> int:
    """Samples of a wave at a rate; its header tells where it is certain, else it is read.

    Raises:
        AioError: as `read_audio`, where it is read.
    """
    header = read_header(spec) or count_samples(spec)
    return resampled_length(header.num_samples, header.sample_rate, sample_rate)


@functools.lru_cache(maxsize=2**20)
def _counted(path: str, size: int, changed: int) -> AudioHeader:
    """The count of a file as long as it has that size and time of change."""
    return count_samples(path)


def _size_of_all(stream: AudioStream) -> int:
    """The size of a block that holds all samples, where it is known and bearable."""
    if stream.num_samples is None:
        return _BLOCK
    return max(1, min(stream.num_samples, _LARGEST // stream.num_channels))


def _wave_at(sample_rate: int, stream: AudioStream) -> np.ndarray:
    """All of a wave (S,) at a rate."""
    wave_S = to_mono(stream.blocks(_size_of_all(stream)), stream.name)
    if stream.sample_rate == sample_rate:
        return wave_S
    notice_resampling(stream.sample_rate, sample_rate)
    return resample(wave_S, stream.sample_rate, sample_rate)
