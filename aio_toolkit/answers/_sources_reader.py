"""Reads the true sources of mixtures. Letters: N sources, S samples, T frames, Q codebooks."""

from typing import override

import numpy as np

from aio_toolkit.answers.audio_target import AudioTarget
from aio_toolkit.answers.base import TargetReader, TargetSource
from aio_toolkit.answers.sources import all_sources, present_sources, present_targets
from aio_toolkit.data.audio import read_span
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.spans import Span
from aio_toolkit.dump.arks import ArkReader


class SourcesReader(TargetReader):
    """Waves of the targets, and the codes of stage 2 where the head learns from them."""

    def __init__(self, source: TargetSource, silence_Q: np.ndarray):
        """Open the codes that are wanted.

        Args:
            source: where answers are.
            silence_Q: codes of digital silence.

        Raises:
            AioError: stage 2 made no codes, and they are wanted.
        """
        self.sample_rate = source.sample_rate
        self.silence_Q = silence_Q
        self.codes: dict[str, ArkReader] = {}
        if "codes" not in source.wanted:
            return
        # A source that no utterance of the split has, such as a third sound, has no file.
        names: set[str] = set()
        for utterance in source.utterances:
            names.update(present_sources(utterance))
        for name in sorted(names):
            self.codes[name] = ArkReader(source.dump / f"codes_{name}.scp")

    @override
    def read(self, utterance: Utterance, span: Span) -> AudioTarget:
        """The targets of a stretch; silence for those that are absent."""
        targets, present = utterance.task.targets, present_targets(utterance)
        wave_NS = np.zeros((len(targets), span.num_samples), np.float32)
        for row, target in enumerate(targets):
            if target in present:
                wave_NS[row] = read_span(
                    utterance.answers[target],
                    self.sample_rate,
                    span.start,
                    span.num_samples,
                    where=f"{utterance.id} ({target})",
                )
        codes_NTQ = self._read_codes(utterance, span) if self.codes else None
        return AudioTarget(wave_NS, codes_NTQ)

    def _read_codes(self, utterance: Utterance, span: Span) -> np.ndarray:
        """Codes (N, T, Q) of all sources, those of silence for sources that are absent."""
        present = present_sources(utterance)
        num_frames = span.frames.stop - span.frames.start
        rows = []
        for source in all_sources(utterance.task):
            if source in present:
                rows.append(self.codes[source][utterance.id][span.frames])
            else:
                # The estimate of a source that is not there has silence to aim at.
                rows.append(np.tile(self.silence_Q, (num_frames, 1)))
        return np.stack(rows)
