"""Answers of any length into files of waves. Letters: C channels, S samples."""

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np

from aio_toolkit.data.audio import open_audio
from aio_toolkit.data.wav_writer import Subtype, WavWriter
from aio_toolkit.files import TEMPORARY_PREFIX
from aio_toolkit.hub.answers import REST, AudioAnswer
from aio_toolkit.hub.recording import BLOCK

# Says of the targets, by their energies, which are not answered.
Unwanted = Callable[[dict[str, float]], Collection[str]]


def write_waves(
    pieces: Iterable[AudioAnswer], folder: Path, subtype: Subtype, unwanted: Unwanted
) -> None:
    """Write `<target>.wav` of each target that is wanted, and `rest.wav`, piece by piece.

    Nothing is in the folder before everything is written.

    Args:
        pieces: of one answer.
        folder: for the files.
        subtype: how samples are stored.
        unwanted: chooses, when all is known, the targets that go to the rest.

    Raises:
        AioError: the recording cannot be read to its end, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=TEMPORARY_PREFIX) as name:
        temporary = Path(name)
        energies = _write_pieces(pieces, temporary, subtype)
        _fold(temporary, unwanted(energies), subtype)
        for target in [*energies, REST]:
            # Of an earlier answer, where there is none in this one.
            (folder / f"{target}.wav").unlink(missing_ok=True)
        for path in temporary.iterdir():
            os.replace(path, folder / path.name)


def _write_pieces(
    pieces: Iterable[AudioAnswer], folder: Path, subtype: Subtype
) -> dict[str, float]:
    """Write all targets; return their energies."""
    energies: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        writers: dict[str, WavWriter] = {}
        for piece in pieces:
            energies.update(piece.energies())
            for name, wave_CS in piece.parts.items():
                if name not in writers:
                    path = folder / f"{name}.wav"
                    writer = WavWriter(path, piece.rate, len(wave_CS), subtype)
                    writers[name] = stack.enter_context(writer)
                writers[name].write(wave_CS.T)
    return dict(energies)


def _fold(folder: Path, unwanted: Collection[str], subtype: Subtype) -> None:
    """Add the waves of some targets to the rest, and delete them."""
    if not unwanted:
        return
    paths = [folder / f"{name}.wav" for name in (REST, *unwanted)]
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open_audio(str(path))) for path in paths]
        rate, channels = streams[0].sample_rate, streams[0].num_channels
        # Under the name of one of those that are read, which it takes when it is whole.
        writer = stack.enter_context(WavWriter(paths[0], rate, channels, subtype))
        blocks = [stream.blocks(BLOCK) for stream in streams]
        for parts_SC in zip(*blocks, strict=True):
            writer.write(np.sum(parts_SC, axis=0))
    for path in paths[1:]:
        path.unlink()
