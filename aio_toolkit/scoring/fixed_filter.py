"""A floor that needs no skill: a fixed filter for every source, fitted to training data in seconds.

What a model gains over it, it owes to having listened. Letters: N sources, S samples,
F frequencies, C cuts between bands.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from aio_toolkit.answers.audio import Match
from aio_toolkit.answers.sources import all_sources
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.sources import read_input
from aio_toolkit.masks import filter_bank
from aio_toolkit.scoring.separation import assign, si_sdr_by_query
from aio_toolkit.tasks import Task

WINDOW = 1024
# Utterances that the filter is fitted to, and tuned on.
FITTED, TUNED = 200, 60
# Where bands may meet, in Hz, and how wide their seams may be, in octaves.
CUTS = (200, 300, 400, 600, 800, 1200, 1800, 2500, 4000)
SEAMS = (1.0, 3.0, 9.0)


@dataclass(frozen=True)
class FixedFilter:
    """A gain of every source at every frequency, whatever the mixture.

    Attributes:
        gain_NF: the gains; over all sources they add up to one.

    >>> halves_NF = torch.full((2, WINDOW // 2 + 1), 0.5)
    >>> filtered_NS = FixedFilter(halves_NF)(np.ones(3000, np.float32))
    >>> bool(np.allclose(filtered_NS, 0.5, atol=1e-4))
    True
    """

    gain_NF: torch.Tensor

    def __call__(self, mixture_S: np.ndarray) -> np.ndarray:
        """The mixture under the filter of every source, (N, S)."""
        return filter_bank(torch.from_numpy(mixture_S), self.gain_NF, WINDOW).numpy()

    def state(self) -> list[list[float]]:
        """The gains as plain numbers."""
        return self.gain_NF.tolist()

    @classmethod
    def from_state(cls, state: Any) -> "FixedFilter":
        """The filter whose `state` this is."""
        return cls(torch.tensor(state))


def fit_filter(
    task: Task, train: Sequence[Utterance], dev: Sequence[Utterance], sample_rate: int
) -> FixedFilter:
    """The best fixed filter that training data tell of.

    Where sources have names, the Wiener filter of their mean spectra, P_n / sum_k P_k. Where any
    estimate may be any source, one band for each, met at the cuts that do best on dev.

    Args:
        task: an audio task.
        train: its utterances to fit to.
        dev: its utterances to choose cuts on.
        sample_rate: Hz.
    """
    if task.options.match == Match.query:
        return _fit_spectra(task, train[:FITTED], sample_rate)
    return _tune_bands(task, dev[:TUNED], sample_rate)


def _fit_spectra(task: Task, train: Sequence[Utterance], sample_rate: int) -> FixedFilter:
    power_NF = torch.zeros(len(all_sources(task)), WINDOW // 2 + 1)
    shape_W = torch.hann_window(WINDOW)
    for utterance in train:
        waves = task.kind.waves(utterance, sample_rate)
        for place, source in enumerate(all_sources(task)):
            if source not in waves:
                continue
            wave_S = torch.from_numpy(waves[source])
            spectrum_FT = torch.stft(
                wave_S, WINDOW, window=shape_W, pad_mode="constant", return_complex=True
            )
            power_NF[place] += spectrum_FT.abs().square().sum(-1)
    # Frequencies that nobody has are shared evenly.
    power_NF = power_NF + 1e-9
    return FixedFilter(power_NF / power_NF.sum(0))


def _tune_bands(task: Task, dev: Sequence[Utterance], sample_rate: int) -> FixedFilter:
    mixtures = [read_input(utterance, sample_rate) for utterance in dev]
    references = []
    for utterance in dev:
        waves = task.kind.waves(utterance, sample_rate)
        references.append(np.stack([waves[t] for t in task.targets if t in waves]))
    num_sources = len(all_sources(task))
    possible = [cut for cut in CUTS if cut < sample_rate / 2]

    even_NF = torch.full((num_sources, WINDOW // 2 + 1), 1 / num_sources)
    best, best_score = FixedFilter(even_NF), -np.inf
    every = itertools.combinations(possible, num_sources - 1)
    for cuts, seam in itertools.product(every, SEAMS):
        tried = bands(cuts, seam, sample_rate)
        scores = []
        for mixture_S, true_NS in zip(mixtures, references, strict=True):
            estimate_NS = tried(mixture_S)
            chosen_NS = estimate_NS[assign(true_NS, estimate_NS)]
            scores.append(np.nanmean(si_sdr_by_query(true_NS, chosen_NS)))
        score = float(np.nanmean(scores))
        if score > best_score:
            best, best_score = tried, score
    return best


def bands(cuts: Sequence[float], seam: float, sample_rate: int) -> FixedFilter:
    """A filter of len(cuts) + 1 bands, from low to high, that add up to one.

    Args:
        cuts: where bands meet, in Hz, rising.
        seam: octaves over which the share of a band falls from 7/8 to 1/8, about.
        sample_rate: Hz.

    >>> gain_NF = bands([1000.0], seam=0.5, sample_rate=16000).gain_NF
    >>> [round(gain, 2) for gain in gain_NF[:, [10, 64, 400]].flatten().tolist()]
    [1.0, 0.5, 0.0, 0.0, 0.5, 1.0]
    """
    frequency_F = torch.linspace(0, sample_rate / 2, WINDOW // 2 + 1).clamp_min(1.0)
    # The share of each frequency that lies above a cut, 1 above all below the first.
    above = [torch.ones_like(frequency_F)]
    for cut in cuts:
        octaves_F = torch.log2(frequency_F / cut)
        above.append(torch.sigmoid(4 * octaves_F / seam))
    above.append(torch.zeros_like(frequency_F))
    gains = [upper - lower for upper, lower in itertools.pairwise(above)]
    return FixedFilter(torch.stack(gains).clamp_min(0))
