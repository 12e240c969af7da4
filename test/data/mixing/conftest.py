"""Sources with waves that tell which they are of, and where."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.data.source_dir import Source, SourceFolders, write_source_dir
from aio_toolkit.data.wav_writer import Subtype, write_wav

RATE = 8000


@pytest.fixture
def folders(tmp_path) -> SourceFolders:
    return SourceFolders(tmp_path, ALL, RATE)


@pytest.fixture
def make(tmp_path) -> Callable[..., list[Source]]:
    """A function that writes a folder of sources: lengths by speaker."""

    def write(name: str, lengths: dict[str, list[int]]) -> list[Source]:
        sources = []
        for speaker, of_speaker in lengths.items():
            for number, length in enumerate(of_speaker):
                rng = np.random.default_rng([len(sources), length])
                path = Path(tmp_path, "audio", f"{name}-{speaker}-{number}.wav")
                wave_S = 0.3 * rng.standard_normal(length).astype(np.float32)
                write_wav(path, wave_S, RATE, Subtype.float_32)
                sources.append(Source(f"{speaker}-{number}", speaker, str(path), length))
        write_source_dir(tmp_path / name, sources)
        return sources

    return write
