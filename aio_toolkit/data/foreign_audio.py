"""Audio that libsndfile cannot read, by FFmpeg's libraries: MP4, M4A, AAC, WMA, sound of videos.

Letters: S samples, C channels.
"""

from typing import Any

import numpy as np

from aio_toolkit.errors import AioError

# FFmpeg's names of the containers that are read. Not its playlists, which would make it open
# whatever other files and addresses a stranger's file names.
CONTAINERS = (
    "aac,ac3,amr,ape,asf,avi,caf,dsf,eac3,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,"
    "mpegts,nistsphere,ogg,tta,w64,wav,wv"
)


def decode_foreign(source: Any, spec: str) -> tuple[np.ndarray, int] | None:
    """All of the first sound of a file.

    Args:
        source: a path, or a file object.
        spec: what messages call it.

    Returns:
        Samples (S, C) float32 and their rate in Hz; None where FFmpeg cannot read it either.

    Raises:
        AioError: a video without sound.
    """
    # Takes a fifth of a second, which most corpora need not spend.
    import av

    try:
        with av.open(source, options={"format_whitelist": CONTAINERS}) as container:
            if not container.streams.audio:
                raise AioError(f"{spec} has no sound. Name another file.")
            stream = container.streams.audio[0]
            # Planar floats, whatever the samples are; neither rate nor channels change.
            converter = av.AudioResampler(format="fltp")
            pieces = [
                converted.to_ndarray()
                for frame in container.decode(stream)
                for converted in converter.resample(frame)
            ]
            rate = int(stream.rate)
    except (av.FFmpegError, ValueError):
        return None
    if not pieces:
        return None
    return np.concatenate(pieces, axis=1).T, rate
