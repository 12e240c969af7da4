"""Audio that libsndfile cannot read, or not to its end, by FFmpeg's libraries: M4A, video, streams.

Letters: S samples, s samples of a piece, C channels.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from aio_toolkit.data.decoder import CutOff, Decoder, from_sample
from aio_toolkit.errors import AioError

# FFmpeg's names of the containers that are read. Not its playlists, which would make it open
# whatever other files and addresses a stranger's file names.
CONTAINERS = (
    "aac,ac3,amr,ape,asf,avi,caf,dsf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,"
    "mpegts,nistsphere,ogg,tta,w64,wav,wv"
)
# Containers that know how long their sound is; of these MP4 counts pauses, too, and FFmpeg finds by
# itself that it was cut off.
_TELLING, _EXACT = ("nistsphere", "mov,mp4,m4a,3gp,3g2,mj2"), "nistsphere"

_Pieces = Iterator[tuple[np.ndarray, int]]


class ForeignAudio(Decoder):
    """The first sound of a file.

    Args:
        decode: begins to decode it: pieces (s, C), and their rate in Hz.
        first: the first of them.
        rate: the rate of that.
    """

    def __init__(self, decode: Callable[[], _Pieces], first: np.ndarray, rate: int) -> None:
        self.sample_rate, self.num_channels = rate, first.shape[1]
        self._decode = decode

    def pieces(self, size: int, start: int) -> Iterator[np.ndarray]:
        """Pieces as long as the packets of the file."""
        return from_sample((piece for piece, _ in self._decode()), start)


def open_foreign(file: BinaryIO, name: str, *, to_end: bool = False) -> ForeignAudio | None:
    """Open the first sound of a file.

    Args:
        file: a seekable file; no path, which might be an address to FFmpeg.
        name: what messages call it.
        to_end: the length in a WAV header is none.

    Returns:
        None where FFmpeg cannot read it either.

    Raises:
        AioError: a video without sound.
    """
    options = {"format_whitelist": CONTAINERS, "ignore_length": str(int(to_end))}
    decode = functools.partial(_decode, file, name, options)
    first = next(decode(), None)
    return None if first is None else ForeignAudio(decode, *first)


def _decode(file: BinaryIO, name: str, options: dict[str, str]) -> _Pieces:
    """Pieces (s, C) float32 and their rate; nothing where there is no audio."""
    # Takes a fifth of a second, which most corpora need not spend.
    import av

    done, promised, exact = 0, None, False
    try:
        file.seek(0)
        with av.open(file, "r", options=options) as container:
            if not container.streams.audio:
                raise AioError(f"{name} has no sound. Name another file.")
            stream = container.streams.audio[0]
            promised, exact = _promised(container, stream), container.format.name == _EXACT
            # Interleaved floats, whatever the samples are; neither rate nor channels change.
            converter = av.AudioResampler(format="flt")
            for frame in container.decode(stream):
                for converted in converter.resample(frame):
                    piece_SC = converted.to_ndarray().reshape(-1, converted.layout.nb_channels)
                    done += len(piece_SC)
                    yield piece_SC, converted.sample_rate
    except (av.FFmpegError, ValueError):
        if done == 0:
            return
        raise CutOff(name, done, promised) from None
    if exact and promised is not None and done < promised:
        raise CutOff(name, done, promised)


def _promised(container: Any, stream: Any) -> int | None:
    """Samples that a container says it has, where that is no estimate."""
    if container.format.name not in _TELLING or stream.duration is None:
        return None
    return round(stream.duration * stream.time_base * stream.rate)
