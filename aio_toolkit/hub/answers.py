"""What a model answers. Letters: C channels, S samples, T frames, Q codebooks."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.codec.base import Codec
from aio_toolkit.data.resampling import resample
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.decoding.text import Hypothesis
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
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

    @classmethod
    def joined(cls, pieces: Sequence["TextAnswer"]) -> "TextAnswer":
        """Pieces that follow each other as one answer.

        >>> str(TextAnswer.joined([TextAnswer("asr", text, -1.0) for text in ("a", "", "dog")]))
        'a dog'
        """
        return cls(
            task=pieces[0].task,
            text=" ".join(piece.text for piece in pieces if piece.text),
            score=sum(piece.score for piece in pieces),
            alternatives=pieces[0].alternatives if len(pieces) == 1 else (),
            words=[word for piece in pieces for word in piece.words],
        )

    def save(self, folder: Path | str, format: str = "txt") -> None:
        """Write `<task>.<format>`: txt, json, srt, vtt or ctm.

        Raises:
            AioError: the format needs times, and there are none.
        """
        folder = Path(folder)
        content = formatted(self.text, self.score, self.words, folder.name, Format(format))
        with atomic_path(folder / f"{self.task}.{format}") as temporary:
            temporary.write_text(content, encoding="utf-8")


@dataclass(frozen=True)
class AudioAnswer:
    """The sources of a recording, at its rate, in its channels, as long as it is.

    Attributes:
        task: name of the task.
        rate: Hz.
        waves: (C, S) float32 by target.
        rest: (C, S), what is left of the recording: with the targets it adds up to it.
        encode: makes codes (T, Q) of a wave (C, S) and its rate.

    >>> answer = AudioAnswer("enh", 16000, {"speech": np.ones((1, 3))}, rest=np.zeros((1, 3)))
    >>> answer["speech"].shape, list(answer.waves)
    ((1, 3), ['speech'])
    >>> answer.without({"speech"}).rest
    array([[1., 1., 1.]])
    """

    task: str
    rate: int
    waves: dict[str, np.ndarray]
    rest: np.ndarray
    encode: Callable[[np.ndarray, int], np.ndarray] | None = None

    def __getitem__(self, target: str) -> np.ndarray:
        return self.waves[target]

    def __str__(self) -> str:
        return ", ".join(self.waves)

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The targets and the rest: all that the recording holds."""
        return {**self.waves, REST: self.rest}

    @property
    def codes(self) -> dict[str, np.ndarray]:
        """Codes (T, Q) of each target, of the mean of its channels at the codec's rate.

        Raises:
            AioError: the model was loaded without its codec.
        """
        if self.encode is None:
            raise AioError("these waves are of no model. Codes are of a model's answers alone.")
        return {name: self.encode(wave_CS, self.rate) for name, wave_CS in self.waves.items()}

    @classmethod
    def joined(cls, pieces: Sequence["AudioAnswer"]) -> "AudioAnswer":
        """Pieces that follow each other as one answer."""
        first = pieces[0]
        waves = {
            name: np.concatenate([piece.waves[name] for piece in pieces], axis=1)
            for name in first.waves
        }
        rest_CS = np.concatenate([piece.rest for piece in pieces], axis=1)
        return replace(first, waves=waves, rest=rest_CS)

    def energies(self) -> dict[str, float]:
        """The sum of the squared samples of each target."""
        return {
            name: float(np.square(wave_CS, dtype=np.float64).sum())
            for name, wave_CS in self.waves.items()
        }

    def without(self, targets: Collection[str]) -> "AudioAnswer":
        """The answer with some targets in its rest."""
        if not targets:
            return self
        kept = {name: wave_CS for name, wave_CS in self.waves.items() if name not in targets}
        rest_CS = self.rest + sum(self.waves[name] for name in targets)
        return replace(self, waves=kept, rest=rest_CS)

    def save(self, folder: Path | str, subtype: Subtype = Subtype.float_32) -> None:
        """Write `<target>.wav` of every target, and `rest.wav`.

        Args:
            folder: for the files; it is made.
            subtype: `FLOAT`, where nothing is rescaled or clipped, or `PCM_16`, which clips at full
                scale, with a warning.
        """
        for name, wave_CS in self.parts.items():
            write_wav(Path(folder, f"{name}.wav"), wave_CS.T, self.rate, subtype)


def codes_of(codec: Codec, wave_CS: np.ndarray, rate: int) -> np.ndarray:
    """Codes (T, Q) of the mean of all channels."""
    wave_S = resample(wave_CS.mean(0), rate, codec.sample_rate)
    (codes_TQ,) = codec.encode(torch.from_numpy(wave_S)[None].to(codec.device)).codes_BTQ
    return codes_TQ.cpu().numpy()
