"""Scores of audio: waves against references. Letters: N references, M estimates, S samples."""

from collections.abc import Mapping
from typing import Any, override

import numpy as np

from aio_toolkit.answers.audio import Match
from aio_toolkit.answers.decoded_audio import WavePaths
from aio_toolkit.answers.sources import present_targets
from aio_toolkit.config import from_values
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixing import pad_or_crop
from aio_toolkit.data.sources import read_input
from aio_toolkit.errors import AioError
from aio_toolkit.masks import WienerFilter
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums
from aio_toolkit.scoring.oracles import oracles
from aio_toolkit.scoring.separation import assign
from aio_toolkit.tasks import Task

# A codec may leave out the end of its last frame; more than this is another recording.
MAX_LENGTH_GAP_SECONDS = 0.05


class AudioScorer(Scorer):
    """The model's outputs beside the unprocessed mixture, their floor, and oracles, their ceilings.

    Oracles need the codec and the filter that answers were decoded with. Where estimates meet
    references by the best permutation, SI-SDR finds it for all metrics.

    >>> [column.title for column in AudioScorer.columns if column.over]
    ['gain', 'wiener gain']
    """

    columns = (
        Column("score", "codec"),
        Column("wiener", "wiener"),
        Column("mixture", "mixture", with_interval=False),
        Column("oracle", "oracle_codec", with_interval=False),
        Column("oracle wiener", "oracle_wiener", with_interval=False),
        Column("ideal mask", "ideal_mask", with_interval=False),
        Column("gain", "codec", over="mixture"),
        Column("wiener gain", "wiener", over="mixture"),
    )
    legend = """\
Audio: score = the codec's output; wiener = that output as a Wiener filter on the mixture; mixture =
the input unprocessed, the floor; oracle = the true targets through the codec, the ceiling of score;
oracle wiener = the same in the filter, their phase kept where it fits the mixture, the ceiling of
wiener; ideal mask = the mixture under masks made of the true targets, without a codec; gain = score
less mixture, wiener gain = wiener less mixture."""

    def __init__(self, task: Task, decoding: Mapping[str, Any], sample_rate: int):
        super().__init__(task, decoding, sample_rate)
        self.codec = decoding.get("codec")
        # Answers of another toolkit come without options.
        section = decoding.get("wiener", {})
        options = from_values(WienerFilter.Config, section, "wiener")
        self.filter = WienerFilter(options)

    @override
    def score(self, utterance: Utterance, answer: WavePaths) -> Sums:
        """The numbers of every output and target.

        1. Read the mixture and the true sources, the residual included.
        2. Read the model's outputs, in the order of the references.
        3. Make the oracles of the true sources.
        4. Apply every metric to every pair of reference and estimate.
        """
        mixture_S = read_input(utterance, self.sample_rate)
        sources = self.task.kind.waves(utterance, self.sample_rate)
        sources_NS = np.stack(list(sources.values()))
        targets = present_targets(utterance)
        N = len(targets)
        # The residual comes last and is not scored.
        references_NS = sources_NS[:N]

        # As if it were the estimate of each.
        estimates = {"mixture": np.stack([mixture_S] * N)}
        self._check_outputs(answer, utterance)
        for output, paths in answer.items():
            found_MS = self._read_estimates(paths, utterance)
            estimates[output] = self._in_order(references_NS, found_MS)
        if self.codec is not None:
            bounds = oracles(mixture_S, sources_NS, self.codec, self.filter)
            for output, bound_MS in bounds.items():
                estimates[output] = self._in_order(references_NS, bound_MS[:N])

        sums: Sums = {}
        for output, estimates_NS in estimates.items():
            for name, metric in self.metrics.items():
                for i, target in enumerate(targets):
                    key = Key(output, target, name)
                    sums[key] = metric.sums(references_NS[i], estimates_NS[i])
        return sums

    def _check_outputs(self, answer: WavePaths, utterance: Utterance) -> None:
        """The model's answer may have company, but must be there."""
        expected = self.columns[0].output
        if expected not in answer:
            remedy = "Run stage 5 (decoding) again."
            raise AioError(f"{utterance.id} has no output '{expected}'. {remedy}")

    def _read_estimates(self, paths: Mapping[str, str], utterance: Utterance) -> np.ndarray:
        """The waves (M, S) of an output; by query only those of targets that the utterance has."""
        targets = tuple(paths)
        if self.task.options.match == Match.query:
            targets = present_targets(utterance)
        waves = [self._read(paths[target], utterance) for target in targets]
        return np.stack(waves)

    def _in_order(self, references_NS: np.ndarray, estimates_MS: np.ndarray) -> np.ndarray:
        """An estimate for each reference, (N, S)."""
        if self.task.options.match == Match.query:
            return estimates_MS
        # Anew for each output: a filter may bring two sources nearer to each other's references.
        return estimates_MS[assign(references_NS, estimates_MS)]

    def _read(self, path: str, utterance: Utterance) -> np.ndarray:
        """An estimate (S,), as long as its input."""
        num_samples = utterance.num_samples
        wave_S = read_audio(path, self.sample_rate, where=utterance.id)
        gap = abs(len(wave_S) - num_samples)
        if gap > MAX_LENGTH_GAP_SECONDS * self.sample_rate:
            found = f"{path} has {len(wave_S)} samples"
            expected = f"utt2num_samples says {num_samples}"
            remedy = "Validate the data dir, then run stage 5 (decoding) again."
            raise AioError(f"{utterance.id}: {found}, {expected}. {remedy}")
        return pad_or_crop(wave_S, num_samples)
