"""How long an audio file says it is."""

from pathlib import Path

from aio_toolkit.data.foreign_audio import CONTAINERS


def announced_seconds(path: Path) -> float | None:
    """The length in a file's header, none of whose samples are decoded; None where it tells none.

    >>> import tempfile
    >>> from aio_toolkit.data.wav_writer import write_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wav(f"{folder}/a.wav", [0.5] * 4000, sample_rate=8000)
    ...     announced_seconds(Path(folder, "a.wav"))
    0.5
    """
    # Both take time to import.
    import av
    import soundfile

    try:
        info = soundfile.info(str(path))
        return info.frames / info.samplerate
    except soundfile.LibsndfileError:
        pass
    try:
        with av.open(str(path), options={"format_whitelist": CONTAINERS}) as container:
            length = container.duration
    except (av.FFmpegError, ValueError):
        return None
    return None if length is None else length / av.time_base
