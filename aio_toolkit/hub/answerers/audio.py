"""Sources of a recording of any length, at its own rate, in all of its channels.

Letters: N sources, C channels, S samples, B windows of a batch.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch

from aio_toolkit.answers.audio import Match
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.answers import AudioAnswer
from aio_toolkit.hub.recording import Recording
from aio_toolkit.hub.windows import Windows, join

# Seconds that a model hears at a time, and that neighbouring windows share.
WINDOW, OVERLAP = 8.0, 1.0
# Windows that go through the model at a time.
BATCH = 8
MODE, OUTPUT = "mask", "masked"


class AudioAnswerer(Answerer):
    """Masks, made of the mean of all channels and put on each of them.

    1. Bring the recording to the model's rate; cut it into windows.
    2. Let the model hear each window, and mask every channel of it.
    3. Join the windows; bring the sources back to the recording's rate.
    4. What they do not hold is the rest.
    """

    def answer(self, recording: Recording) -> AudioAnswer:
        """The sources of a recording."""
        wave_CS = recording.at(self.rate)
        num_samples = wave_CS.shape[-1]
        windows = Windows(int(WINDOW * self.rate), int(OVERLAP * self.rate))
        options = self.task.options
        equals = len(self.task.targets) if options.match == Match.permutation else 0
        joined_NCS = join(self._masked(wave_CS, windows), windows, num_samples, equals)

        # The residual, where the task has one, is not asked for.
        made_NCS = recording.back(joined_NCS[: len(self.task.targets)], self.rate)
        rest_CS = recording.wave_CS - made_NCS.sum(0, dtype=np.float32)
        waves = dict(zip(self.task.targets, made_NCS, strict=True))
        return AudioAnswer(self.task.name, recording.rate, waves, rest_CS)

    def _masked(self, wave_CS: torch.Tensor, windows: Windows) -> Iterator[torch.Tensor]:
        """The masked waves (N, C, S) of every window."""
        spans = [*windows.spans(wave_CS.shape[-1])]
        for first in range(0, len(spans), BATCH):
            batch = spans[first : first + BATCH]
            yield from self._mask([wave_CS[:, start:end] for start, end in batch])

    @torch.inference_mode()
    def _mask(self, pieces: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        head = cast(AudioHead, self.model.head_of(self.task))
        path = head.path_of_mode(MODE)
        sources_B = head.split(self.frames([piece.mean(0).numpy() for piece in pieces]))
        masked = []
        for row, piece_CS in enumerate(pieces):
            sources = sources_B.row(row)
            channels = []
            for wave_S in piece_CS.to(sources.wave_BS.device):
                # The same masks on another mixture.
                channel = dataclasses.replace(sources, wave_BS=wave_S[None])
                channels.append(path.outputs(channel, None, MODE)[OUTPUT][0])
            masked.append(torch.stack(channels, 1).cpu())
        return masked
