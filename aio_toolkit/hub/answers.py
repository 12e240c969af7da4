"""What a model answers. Letters: C channels, S samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.decoding.text import Hypothesis
from aio_toolkit.hub.formats import Format, Word, formatted

# What a recording holds besides the answer.
REST = "rest"


@dataclass(frozen=True)
class TextAnswer:
    """What is said in a recording.

    Attributes:
        task: name of the task.
        text: the best sentence.
        score: its log probability.
        alternatives: all that were found, the best first, where the recording was heard in one go.
        words: when each word is said, where the text is a transcript.

    >>> print(TextAnswer("asr", "the small dog", -1.5))
    the small dog
    """

    task: str
    text: str
    score: float
    alternatives: Sequence[Hypothesis] = ()
    words: Sequence[Word] = ()

    def __str__(self) -> str:
        return self.text

    def save(self, folder: Path | str, format: str = "txt") -> None:
        """Write `<task>.<format>`: txt, json, srt, vtt or ctm.

        Raises:
            AioError: the format needs times, and there are none.
        """
        folder = Path(folder)
        content = formatted(self.text, self.score, self.words, folder.name, Format(format))
        path = folder / f"{self.task}.{format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


@dataclass(frozen=True)
class AudioAnswer:
    """The sources of a recording, at its rate, in its channels, as long as it is.

    Attributes:
        task: name of the task.
        rate: Hz.
        waves: (C, S) float32 by target.
        rest: (C, S), what is left of the recording: with the targets it adds up to it.

    >>> answer = AudioAnswer("enh", 16000, {"speech": np.ones((1, 3))}, rest=np.zeros((1, 3)))
    >>> answer["speech"].shape, list(answer.waves)
    ((1, 3), ['speech'])
    """

    task: str
    rate: int
    waves: dict[str, np.ndarray]
    rest: np.ndarray

    def __getitem__(self, target: str) -> np.ndarray:
        return self.waves[target]

    def __str__(self) -> str:
        return ", ".join(self.waves)

    def save(self, folder: Path | str) -> None:
        """Write `<target>.wav` of every target, and `rest.wav`, as floats: nothing is rescaled."""
        for name, wave_CS in {**self.waves, REST: self.rest}.items():
            write_wav(Path(folder, f"{name}.wav"), wave_CS.T, self.rate, Subtype.float_32)
