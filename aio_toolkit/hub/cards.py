"""What there is to hear, to see and to read of an answer, whatever page shows it.

Letters: C channels, S samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aio_toolkit.data.audio import is_ark_offset, is_pipe
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answers import AudioAnswer, TextAnswer
from aio_toolkit.hub.figures import draw, scale_of
from aio_toolkit.hub.formats import Word
from aio_toolkit.hub.recording import to_recording

# What stands in the place of a sentence without words.
NOTHING = "(no words)"


@dataclass(frozen=True)
class Upload:
    """A stranger's recording.

    Attributes:
        wave_CS: all of its channels.
        rate: Hz.
        name: of its file.
    """

    wave_CS: np.ndarray
    rate: int
    name: str


@dataclass(frozen=True)
class Card:
    """A wave to hear and to see.

    Attributes:
        title: what it is.
        rate: Hz.
        wave_SC: 16-bit integers.
        picture: what `aio_toolkit.hub.figures.draw` makes of it.
    """

    title: str
    rate: int
    wave_SC: np.ndarray
    picture: np.ndarray


@dataclass(frozen=True)
class Shown:
    """All that is shown of an answer; by default, nothing.

    Attributes:
        title: of the task.
        sentence: what it says; empty where it says nothing but sounds.
        words: when each word is said.
        cards: the recording, then each source.
    """

    title: str = ""
    sentence: str = ""
    words: Sequence[Word] = ()
    cards: Sequence[Card] = ()


def read_within(path: Path, max_minutes: float) -> Upload:
    """A stranger's recording, unless it is too long.

    Raises:
        AioError: it is too long, or no file that can be read.
    """
    spec = str(path)
    # A data dir may name commands; a stranger may not.
    if is_pipe(spec) or is_ark_offset(spec):
        raise AioError(f"{path} is not the name of an audio file. Rename it.")
    recording = to_recording(path)
    most, blocks, found = 60 * max_minutes, [], 0
    # Hours of sound may be a small file, and fill the memory: no more than this is decoded.
    for block_CS in recording.blocks:
        blocks.append(block_CS)
        found += block_CS.shape[1]
        if found > most * recording.rate:
            problem = f"{path} lasts more than {most:g} s, which are the most here"
            raise AioError(f"{problem}. Cut it, or start the page with a larger --max_minutes.")
    return Upload(np.concatenate(blocks, axis=1), recording.rate, recording.name)


def show(title: str, recording: Upload, answer: Any) -> Shown:
    """Whatever a model answers, as things to hear, see and read.

    Sources and recording have one gain and one scale, so that they can be compared.

    >>> wave_CS = np.ones((1, 800), np.float32)
    >>> answer = AudioAnswer("enh", 8000, {"speech": wave_CS / 2}, rest=wave_CS / 2)
    >>> shown = show("enhancement", Upload(wave_CS, 8000, "a.wav"), answer)
    >>> [card.title for card in shown.cards]
    ['a.wav', 'speech', 'rest']
    """
    waves = [(recording.name, recording.wave_CS)]
    if isinstance(answer, AudioAnswer):
        waves += answer.parts.items()
        sentence = ""
    else:
        sentence = str(answer) or NOTHING
    words = answer.words if isinstance(answer, TextAnswer) else ()

    scale = scale_of(recording.wave_CS, recording.rate)
    # Nothing is made louder; all are made softer together where one would be clipped.
    gain = 1 / max(1.0, *(float(np.abs(wave_CS).max()) for _, wave_CS in waves))
    cards = [
        Card(
            name,
            recording.rate,
            wave_SC=np.rint(wave_CS.T * gain * np.iinfo(np.int16).max).astype(np.int16),
            picture=draw(wave_CS, recording.rate, scale, words),
        )
        for name, wave_CS in waves
    ]
    return Shown(title, sentence, words, cards)


def line_of(error: AioError, path: Path) -> str:
    """An error for the page: a file has the name that it had before it was uploaded.

    >>> line_of(AioError("/tmp/x7/a.wav is empty. Make it again."), Path("/tmp/x7/a.wav"))
    'a.wav is empty. Make it again.'
    """
    return " ".join(str(error).replace(str(path), path.name).split())
