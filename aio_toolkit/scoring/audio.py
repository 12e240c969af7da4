"""Scores of audio: waves against references. Letters: N references, M estimates, S samples."""

from collections.abc import Mapping, Sequence
from typing import Any, override

import numpy as np

from aio_toolkit.answers.audio import Match
from aio_toolkit.answers.decoded_audio import WavePaths
from aio_toolkit.answers.sources import present_targets
from aio_toolkit.config import from_values
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixtures import pad_or_crop
from aio_toolkit.data.sources import read_input
from aio_toolkit.errors import AioError
from aio_toolkit.masks import WienerFilter
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums
from aio_toolkit.scoring.fixed_filter import FixedFilter, fit_filter
from aio_toolkit.scoring.oracles import codec_bounds, ideal_mask, load_once
from aio_toolkit.scoring.separation import assign
from aio_toolkit.tasks import Task

# A codec may leave out the end of its last frame; more than this is another recording.
MAX_LENGTH_GAP_SECONDS = 0.05
# Anything is like a reference of a few samples: of one, it is a multiple.
SHORTEST_SECONDS = 0.01


class AudioScorer(Scorer):
    """The model's outputs beside the floors and the ceilings of the data.

    Where estimates meet references by the best permutation, SI-SDR finds it for all metrics.

    >>> [column.title for column in AudioScorer.columns if column.over == "fixed_filter"]
    ['over filter', 'wiener over filter']
    """

    outputs = ("masked", "codec", "wiener")
    unprocessed = "mixture"
    columns = (
        Column("masked", "masked"),
        Column("codec", "codec"),
        Column("wiener", "wiener"),
        Column("mixture", "mixture", with_interval=False),
        Column("fixed filter", "fixed_filter", with_interval=False),
        Column("ideal mask", "ideal_mask", with_interval=False),
        Column("oracle codec", "oracle_codec", with_interval=False),
        Column("oracle wiener", "oracle_wiener", with_interval=False),
        Column("gain", "masked", over="mixture"),
        Column("wiener gain", "wiener", over="mixture"),
        Column("over filter", "masked", over="fixed_filter"),
        Column("wiener over filter", "wiener", over="fixed_filter"),
    )
    legend = """\
Audio: masked = the mixture under the model's masks, before any codec; codec = the codes, decoded;
wiener = the mixture, Wiener-filtered with the codec's output. Floors: mixture = the input
unprocessed; fixed filter = one filter for each target, fitted to the training data without any
network. Ceilings, like for like: ideal mask = magnitude masks made of the true sources, for masked;
oracle codec = the true sources through the codec, for codec; oracle wiener = those in the same
filter, for wiener. gain = masked less mixture, over filter = masked less fixed filter, utterance by
utterance; the same for wiener."""

    def __init__(self, task: Task, decoding: Mapping[str, Any], sample_rate: int):
        super().__init__(task, decoding, sample_rate)
        self.codec = decoding.get("codec")
        # Answers of another toolkit come without options.
        section = decoding.get("wiener", {})
        options = from_values(WienerFilter.Config, section, "wiener")
        self.filter = WienerFilter(options)
        self.floor: FixedFilter | None = None

    @override
    def fit(self, train: Sequence[Utterance], dev: Sequence[Utterance]) -> None:
        """Fit the fixed filter."""
        self.floor = fit_filter(self.task, train, dev, self.sample_rate)

    @override
    def bounds_of(self) -> dict[str, Any]:
        """The codec, the filters, and the fixed filter."""
        codec = vars(load_once(self.codec).fingerprint) if self.codec else None
        floor = self.floor.state() if self.floor else None
        return {"codec": codec, "wiener": vars(self.filter.config), "floor": floor}

    @override
    def bounds(self, utterance: Utterance) -> Sums:
        """The numbers of floors and ceilings.

        1. Read the mixture and the true sources, the residual included.
        2. Make estimates of them.
        3. Apply every metric to every pair of reference and estimate.
        """
        mixture_S = read_input(utterance, self.sample_rate)
        sources = self.task.kind.waves(utterance, self.sample_rate)
        sources_NS = np.stack(list(sources.values()))
        # As if it were the estimate of each.
        estimates = {"mixture": np.stack([mixture_S] * len(sources_NS))}
        if self.floor is not None:
            estimates["fixed_filter"] = self._present(self.floor(mixture_S), utterance)
        if self.codec is not None:
            hop = load_once(self.codec).hop
            estimates["ideal_mask"] = ideal_mask(mixture_S, sources_NS, hop)
            estimates |= codec_bounds(mixture_S, sources_NS, self.codec, self.filter)
        return self._sums(utterance, sources_NS, estimates)

    @override
    def score(self, utterance: Utterance, answer: WavePaths) -> Sums:
        """The numbers of every output of the model and target."""
        sources = self.task.kind.waves(utterance, self.sample_rate)
        sources_NS = np.stack(list(sources.values()))
        self._check_outputs(answer, utterance)
        estimates = {}
        for output, paths in answer.items():
            estimates[output] = self._read_estimates(paths, utterance)
        return self._sums(utterance, sources_NS, estimates)

    def _sums(
        self, utterance: Utterance, sources_NS: np.ndarray, estimates: Mapping[str, np.ndarray]
    ) -> Sums:
        is_short = utterance.num_samples < SHORTEST_SECONDS * self.sample_rate
        targets = present_targets(utterance)
        # The residual comes last and is not scored.
        references_NS = sources_NS[: len(targets)]
        sums: Sums = {}
        for output, found_MS in estimates.items():
            ordered_NS = self._in_order(references_NS, found_MS)
            for name, metric in self.metrics.items():
                for place, target in enumerate(targets):
                    sums_K = metric.sums(references_NS[place], ordered_NS[place])
                    key = Key(output, target, name)
                    sums[key] = np.full_like(sums_K, np.nan) if is_short else sums_K
        return sums

    def _present(self, estimates_NS: np.ndarray, utterance: Utterance) -> np.ndarray:
        """Of estimates of all sources those that can be meant, as those of the model are."""
        if self.task.options.match == Match.permutation:
            return estimates_NS
        present = present_targets(utterance)
        places = [self.task.targets.index(target) for target in present]
        return estimates_NS[places]

    def _check_outputs(self, answer: WavePaths, utterance: Utterance) -> None:
        """One of the outputs that there may be must be there."""
        if not set(self.outputs) & answer.keys():
            expected = ", ".join(self.outputs)
            remedy = "Run stage 5 (decoding) again."
            raise AioError(f"{utterance.id} has no output of: {expected}. {remedy}")

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
            return estimates_MS[: len(references_NS)]
        # Anew for each output: a filter may bring two sources nearer to each other's references.
        return estimates_MS[assign(references_NS, estimates_MS)]

    def _read(self, path: str, utterance: Utterance) -> np.ndarray:
        """An estimate (S,), as long as its input."""
        num_samples = utterance.num_samples
        try:
            wave_S = read_audio(path, self.sample_rate, where=utterance.id)
        except AioError as error:
            what = str(error).partition(". ")[0]
            raise AioError(f"{what}. Run stage 5 (decoding) again.") from None
        gap = abs(len(wave_S) - num_samples)
        if gap > MAX_LENGTH_GAP_SECONDS * self.sample_rate:
            found = f"{path} has {len(wave_S)} samples"
            expected = f"utt2num_samples says {num_samples}"
            remedy = "Validate the data dir, then run stage 5 (decoding) again."
            raise AioError(f"{utterance.id}: {found}, {expected}. {remedy}")
        return pad_or_crop(wave_S, num_samples)
