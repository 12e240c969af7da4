"""The best that any head could do with a codec: true sources through the codec, and through ideal
masks.

Letters: N sources, S samples, T frames, Q codebooks, V codes in each, C latent channels, n
utterances.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.analysis.ceiling_report import CeilingResults, CodebookUse, Quality
from aio_toolkit.answers.audio import Audio
from aio_toolkit.answers.sources import present_targets
from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.codec.losses import MultiScaleMelLoss
from aio_toolkit.codec.usage import count_codes, entropy_share
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.sources import read_input
from aio_toolkit.errors import AioError
from aio_toolkit.masks import WienerFilter
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.ranges import bounded
from aio_toolkit.scoring.intervals import mean_interval
from aio_toolkit.scoring.oracles import ideal_mask
from aio_toolkit.scoring.separation import si_sdr_by_query
from aio_toolkit.tasks import Task

# SI-SDR and mel distance of an utterance, by way of making the estimates.
Scores = dict[str, tuple[float, float]]


class Ceiling:
    """Measures what the targets of a data dir lose through a codec, task by task.

    Attributes:
        codebooks: the numbers of leading codebooks that are measured.

    >>> Ceiling(Ceiling.Config("egs/mini_aio/codec")).codebooks[-1]
    32
    """

    @dataclass
    class Config:
        """What is measured.

        Attributes:
            codec: folder, file or name of the codec.
            codebooks: numbers of leading codebooks; every number by default.
            max_utts: the first so many utterances of each task; null: all.
            wiener: window and exponent of the masks.
        """

        codec: str
        codebooks: list[int] = bounded([], least=1)
        max_utts: int | None = bounded(None, least=1)
        wiener: WienerFilter.Config = field(default_factory=WienerFilter.Config)

    def __init__(self, config: Config):
        """Open the codec.

        Raises:
            AioError: there is no such codec, it has fewer codebooks, or no utterance would be left.
        """
        codec, _ = _load(config.codec)
        total = codec.fingerprint.num_codebooks
        every = range(1, total + 1)
        self.config = config
        self.codebooks = list(config.codebooks or every)
        for count in self.codebooks:
            if count not in every:
                problem = f"{config.codec} has {total} codebooks; key 'codebooks' asks for {count}"
                raise AioError(f"{problem}. Give numbers from 1 to {total}.")
        if config.max_utts is not None and config.max_utts < 1:
            remedy = "Give one utterance at least, or null for all."
            raise AioError(f"key 'max_utts' is {config.max_utts}. {remedy}")

    def measure(self, data: Path, tasks: Mapping[str, Task], num_jobs: int = 1) -> CeilingResults:
        """Measure a data dir.

        1. Choose the utterances of audio tasks.
        2. Make their estimates in every way and score them, one utterance at a time.
        3. Take means over the utterances of each task, and count the codes of all.

        Args:
            data: data dir; its audio tasks are measured.
            tasks: all tasks that its utterances may have.
            num_jobs: processes.

        Raises:
            AioError: the data dir has no audio task.
        """
        utterances = self._choose(data, tasks)
        measured = self._measure(utterances, num_jobs)

        of_tasks: dict[str, list[Scores]] = {}
        for utterance, found in zip(utterances, measured, strict=True):
            of_task = of_tasks.setdefault(utterance.task.name, [])
            of_task.append(found.scores)
        qualities = {}
        for name, of_task in of_tasks.items():
            qualities[name] = _summarize(of_task)
        counts = [found.count_QV for found in measured]

        return CeilingResults(
            codec=self.config.codec,
            data=str(data),
            masks=self.config.wiener,
            tasks=qualities,
            codebooks=_codebook_use(counts),
        )

    def _choose(self, data: Path, tasks: Mapping[str, Task]) -> list[Utterance]:
        """The utterances to measure, tasks in the order of their file."""
        of_tasks: dict[str, list[Utterance]] = {}
        for utterance in read_data_dir(data, tasks):
            # Other kinds of answer have no waves that a codec could spoil.
            if isinstance(utterance.task.kind, Audio):
                of_task = of_tasks.setdefault(utterance.task.name, [])
                of_task.append(utterance)
        if not of_tasks:
            remedy = "Give a data dir with one."
            raise AioError(f"{data} has no utterance of an audio task. {remedy}")

        chosen: list[Utterance] = []
        for name in tasks:
            utterances = of_tasks.get(name, [])
            chosen += utterances[: self.config.max_utts]
        return chosen

    def _measure(self, utterances: Sequence[Utterance], num_jobs: int) -> list["_Measured"]:
        """What is measured of each utterance."""
        work = functools.partial(
            _measure,
            config=self.config,
            codebooks=self.codebooks,
        )
        # One pool for all tasks, as each process loads the codec.
        found = parallel_map(work, utterances, num_jobs)
        return list(progress(found, "ceiling", total=len(utterances)))


@dataclass(frozen=True)
class _Measured:
    """What is measured of an utterance.

    Attributes:
        scores: means over its targets.
        count_QV: how often its sources have each code.
    """

    scores: Scores
    count_QV: torch.Tensor


@functools.cache
def _load(codec_path: str) -> tuple[Codec, MultiScaleMelLoss]:
    """One codec a process, as loading takes longer than an utterance."""
    codec = load_codec(codec_path)
    mel = MultiScaleMelLoss(codec.sample_rate)
    return codec, mel


def _measure(utterance: Utterance, config: Ceiling.Config, codebooks: Sequence[int]) -> _Measured:
    """The scores of an utterance, means over targets that are not silent."""
    codec, mel = _load(config.codec)
    rate = codec.sample_rate
    waves = utterance.task.kind.waves(utterance, rate)
    sources = np.stack(list(waves.values()))
    sources_NS = torch.from_numpy(sources)
    mixture_S = torch.from_numpy(read_input(utterance, rate))

    encoded = codec.encode(sources_NS)
    codes_NTQ, latents_NTC = encoded.codes_BTQ, encoded.latents_BTC
    # The codec completes the last frame; what is beyond the wave's end is cut off.
    S = len(mixture_S)
    coded_NS = codec.decode(codes_NTQ)[:, :S]

    ways = {"mixture": mixture_S.expand_as(sources_NS)}
    for count in codebooks:
        leading_NTQ = codes_NTQ[..., :count]
        ways[f"{count} codebooks"] = codec.decode(leading_NTQ)[:, :S]
    ways["latents"] = codec.decode_latents(latents_NTC)[:, :S]

    wiener = WienerFilter(config.wiener)
    ways["wiener"] = wiener(mixture_S, coded_NS)
    masked_NS = ideal_mask(mixture_S.numpy(), sources_NS.numpy(), codec.hop)
    ways["ideal mask"] = torch.from_numpy(masked_NS)

    # A residual is a rival of the targets in every mask, but is not scored itself.
    num_targets = len(present_targets(utterance))
    references_NS = sources_NS[:num_targets]
    scores = {}
    for way, estimates_NS in ways.items():
        targets_NS = estimates_NS[:num_targets]
        scores[way] = _score(references_NS, targets_NS, mel)
    codes_NQT = codes_NTQ.transpose(1, 2)
    count_QV = count_codes(codes_NQT, codec.fingerprint.codebook_size)
    return _Measured(scores, count_QV)


def _score(
    references_NS: torch.Tensor, estimates_NS: torch.Tensor, mel: MultiScaleMelLoss
) -> tuple[float, float]:
    """SI-SDR and mel distance, means over references that are not silent; NaN without any."""
    si_sdr_N = si_sdr_by_query(references_NS.numpy(), estimates_NS.numpy())
    active_N = ~np.isnan(si_sdr_N)
    # Silence has neither a level nor a spectrum to be wrong about.
    if not active_N.any():
        return np.nan, np.nan
    si_sdr = si_sdr_N[active_N].mean()
    distance = mel(estimates_NS[active_N], references_NS[active_N])
    return float(si_sdr), distance.item()


def _summarize(of_utterances: Sequence[Scores]) -> dict[str, Quality]:
    """Means over the utterances of a task, by way of making the estimates."""
    summary = {}
    for way in of_utterances[0]:
        pairs = [scores[way] for scores in of_utterances]
        si_sdr_n, mel_n = np.array(pairs).T
        si_sdr, mel = mean_interval(si_sdr_n), mean_interval(mel_n)
        summary[way] = Quality(si_sdr, mel)
    return summary


def _codebook_use(counts: Sequence[torch.Tensor]) -> CodebookUse:
    """How often each code occurs (Q, V), over utterances of all tasks, in figures."""
    count_QV = torch.stack(list(counts)).sum(0)
    entropy_Q = entropy_share(count_QV)
    occurs_QV = count_QV > 0
    used_Q = occurs_QV.float().mean(1)
    return CodebookUse(entropy_Q.tolist(), used_Q.tolist())
