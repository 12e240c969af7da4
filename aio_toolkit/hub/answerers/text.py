"""What is said in a recording of any length. Letters: S samples."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from aio_toolkit.decoding.text import Hypothesis, TextDecoder
from aio_toolkit.heads.base import Frames
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.answers import TextAnswer
from aio_toolkit.hub.formats import Word
from aio_toolkit.hub.recording import Recording
from aio_toolkit.hub.words import align
from aio_toolkit.models.aio import AioModel
from aio_toolkit.tasks import Task

# Seconds that a model hears at a time at the most, and at the least where more follows.
LONGEST, SHORTEST = 8.0, 3.0
# The target that holds what is said itself.
TRANSCRIPT = "text"
# Stretches whose levels are compared to find a pause.
STRETCH = 0.05


class TextAnswerer(Answerer):
    """Beam search over stretches of speech, cut where it is quietest."""

    can_be_printed = True

    def __init__(self, model: AioModel, task: Task):
        """Make the search with its default options."""
        super().__init__(model, task)
        head: Any = model.head_of(task)
        units: Any = model.units[task.output]
        self.decoder = TextDecoder(TextDecoder.Config(), head, units)

    @torch.inference_mode()
    def answer(self, recording: Recording) -> TextAnswer:
        """What is said; sentences of several stretches follow each other."""
        wave_S = recording.at(self.rate).mean(0).numpy()
        spans = stretches(wave_S, self.rate)
        sentences, words, score = [], [], 0.0
        alternatives: list[Hypothesis] = []
        for start, end in spans:
            frames = self.frames([wave_S[start:end]])
            (alternatives,) = self.decoder.search(frames)
            # A search may end without any; then nothing is said.
            if not alternatives:
                continue
            best = alternatives[0]
            score += best.score
            sentences.append(best.text)
            for word in self._words(frames, best.text):
                offset = start / self.rate
                words.append(replace(word, start=word.start + offset, end=word.end + offset))

        return TextAnswer(
            task=self.task.name,
            text=" ".join(filter(None, sentences)),
            score=score,
            alternatives=alternatives if len(spans) == 1 else (),
            words=words,
        )

    def _words(self, frames: Frames, sentence: str) -> list[Word]:
        # A translation has its words in an order of its own.
        if TRANSCRIPT not in self.task.targets:
            return []
        head = self.decoder.head
        ctc: Any = head.ctc[self.task.name]
        (log_prob_TV,) = ctc.log_softmax(frames.h_BTD)
        return align(log_prob_TV, sentence, head.vocabulary, self.model.encoder.grid.frame_rate)


def stretches(wave_S: np.ndarray, rate: int) -> list[tuple[int, int]]:
    """Start and end of stretches of at most `LONGEST` seconds, cut where it is quietest.

    >>> wave_S = np.ones(12 * 1000)
    >>> wave_S[5000:5200] = 0.0
    >>> stretches(wave_S, rate=1000)
    [(0, 5025), (5025, 12000)]
    """
    longest, shortest, width = (int(x * rate) for x in (LONGEST, SHORTEST, STRETCH))
    found, start = [], 0
    while len(wave_S) - start > longest:
        levels = [
            (np.square(wave_S[place : place + width], dtype=np.float64).sum(), place)
            for place in range(start + shortest, start + longest - width + 1, width)
        ]
        _, place = min(levels)
        cut = place + width // 2
        found.append((start, cut))
        start = cut
    return [*found, (start, len(wave_S))]
