"""What is said in a recording of any length. Letters: C channels, S samples, T frames."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aio_toolkit.decoding.text import Search, TextDecoder
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.answers import TextAnswer
from aio_toolkit.hub.blocks import Tap, resampled
from aio_toolkit.hub.formats import Format, Word
from aio_toolkit.hub.recording import Recording
from aio_toolkit.hub.words import align
from aio_toolkit.ranges import bounded

# Where more follows, a stretch is no shorter than this share of the longest.
SHORTEST = 1 / 3
# The target that holds what is said itself.
TRANSCRIPT = "text"
# Stretches whose levels are compared to find a pause.
STRETCH = 0.05
# Nobody speaks where no sample is louder.
SILENCE = 1e-3


@dataclass(frozen=True)
class Stretch:
    """A part of a recording that is heard in one go.

    Attributes:
        wave_S: mean of all channels at the model's rate.
        start: its first sample.
    """

    wave_S: np.ndarray
    start: int


class TextAnswerer(Answerer[Stretch, TextAnswer, TextAnswer]):
    """A search for the best sentence of each stretch of speech, cut where it is quietest."""

    can_be_printed = True

    @dataclass
    class Options(Answerer.Options):
        """How words are searched and written.

        Attributes:
            search: beam, or greedy, which is faster and makes more errors.
            beam_size: hypotheses that are kept.
            format: of files: txt, json, srt, vtt or ctm.
        """

        search: Search = Search.beam
        beam_size: int = bounded(5, least=1)
        format: Format = Format.txt

    def check(self, options: Options) -> None:
        """There may be a stretch of that length."""
        self.window(options.window)

    def cut(self, recording: Recording, options: Options) -> Iterator[Stretch]:
        """Stretches at the model's rate."""
        blocks = resampled(recording.blocks, recording.rate, self.rate)
        longest = self.window(options.window)
        return stretches((block_CS.mean(0) for block_CS in blocks), self.rate, longest)

    @torch.inference_mode()
    def hear(self, windows: Sequence[Stretch], options: Options) -> list[TextAnswer]:
        """The best sentence of each stretch."""
        answers = [TextAnswer(self.task.name, "", 0.0)] * len(windows)
        spoken = [
            number for number, one in enumerate(windows) if np.abs(one.wave_S).max() > SILENCE
        ]
        if spoken:
            found = self._search([windows[number] for number in spoken], options)
            for number, answer in zip(spoken, found, strict=True):
                answers[number] = answer
        return answers

    def pieces(
        self, recording: Recording, heard: Iterator[TextAnswer], options: Options
    ) -> Iterator[TextAnswer]:
        """Each stretch's sentence."""
        return heard

    def joined(self, pieces: Iterable[TextAnswer], options: Options) -> TextAnswer:
        """One answer, in which sentences follow each other."""
        return TextAnswer.joined([*pieces])

    def write(self, pieces: Iterable[TextAnswer], folder: Path, options: Options) -> None:
        """`<task>.<format>`."""
        self.joined(pieces, options).save(folder, options.format)

    def _search(self, stretches: Sequence[Stretch], options: Options) -> Iterator[TextAnswer]:
        frames = self.frames([one.wave_S for one in stretches])
        decoder = self.decoder(options)
        ctc: Any = decoder.head.ctc[self.task.name]
        log_prob_BTV = ctc.log_softmax(frames.h_BTD)
        for row, alternatives in enumerate(decoder.search(frames)):
            log_prob_TV = log_prob_BTV[row, : frames.lengths_B[row]]
            # A search may end without any. Where CTC hears no token, nobody speaks, and what the
            # attention decoder says of it is made up.
            if not alternatives or not log_prob_TV.argmax(-1).any():
                yield TextAnswer(self.task.name, "", 0.0)
                continue
            best = alternatives[0]
            words = self._words(log_prob_TV, best.text, stretches[row].start / self.rate)
            yield TextAnswer(self.task.name, best.text, best.score, alternatives, words)

    def decoder(self, options: Options) -> TextDecoder:
        """The search for the best sentence."""
        head: Any = self.model.head_of(self.task)
        units: Any = self.model.units[self.task.output]
        config = TextDecoder.Config(search=options.search, beam_size=options.beam_size)
        return TextDecoder(config, head, units)

    def _words(self, log_prob_TV: torch.Tensor, sentence: str, start: float) -> list[Word]:
        """When the words are said, in seconds from the beginning of the recording."""
        # A translation has its words in an order of its own.
        if TRANSCRIPT not in self.task.targets:
            return []
        vocabulary: Any = self.model.units[self.task.output]
        rate = self.model.encoder.grid.frame_rate
        words = align(log_prob_TV, sentence, vocabulary.vocabulary, rate)
        return [replace(word, start=word.start + start, end=word.end + start) for word in words]


def stretches(blocks: Iterable[np.ndarray], rate: int, longest: int) -> Iterator[Stretch]:
    """Stretches of a wave, cut where it is quietest.

    Args:
        blocks: the wave (S,), block by block.
        rate: in Hz.
        longest: samples of a stretch at the most.

    >>> wave_S = np.ones(12 * 1000)
    >>> wave_S[5000:5200] = 0.0
    >>> [(one.start, len(one.wave_S)) for one in stretches([wave_S], rate=1000, longest=8000)]
    [(0, 5041), (5041, 6959)]
    """
    # Below the least length there is no room for a pause to look for.
    width = min(int(STRETCH * rate), longest)
    shortest = min(int(SHORTEST * longest), longest - width)
    tap, start = Tap(blocks), 0
    wave_S = tap.take(longest + 1)
    while len(wave_S) > longest:
        levels = [
            (np.square(wave_S[place : place + width], dtype=np.float64).sum(), place)
            for place in range(shortest, longest - width + 1, width)
        ]
        _, place = min(levels)
        end = place + width // 2
        yield Stretch(wave_S[:end], start)
        start += end
        wave_S = np.concatenate([wave_S[end:], tap.take(end)])
    if len(wave_S):
        yield Stretch(wave_S, start)
