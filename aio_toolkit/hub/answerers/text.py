"""What is said in a recording of any length. Letters: S samples."""

from typing import Any

import numpy as np
import torch

from aio_toolkit.decoding.text import TextDecoder
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.answers import TextAnswer
from aio_toolkit.hub.recording import Recording
from aio_toolkit.models.aio import AioModel
from aio_toolkit.tasks import Task

# Seconds that a model hears at a time at the most, and at the least where more follows.
LONGEST, SHORTEST = 8.0, 3.0
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
        found = []
        for start, end in stretches(wave_S, self.rate):
            (hypotheses,) = self.decoder.search(self.frames([wave_S[start:end]]))
            found.append(hypotheses)

        best = [hypotheses[0] for hypotheses in found if hypotheses]
        text = " ".join(one.text for one in best if one.text)
        alternatives = found[0] if len(found) == 1 else ()
        return TextAnswer(self.task.name, text, sum(one.score for one in best), alternatives)


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
