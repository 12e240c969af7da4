"""Text by beam search over attention decoder and CTC prefix scores, or by CTC's best path."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, override

import torch

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.decoding.attention_steps import AttentionSteps
from aio_toolkit.decoding.base import Decoder
from aio_toolkit.decoding.beam_search import BeamSearch, Rules, Weighted
from aio_toolkit.decoding.ctc_prefix import CtcPrefixes
from aio_toolkit.decoding.greedy import best_paths
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.text import TextHead
from aio_toolkit.ranges import bounded


class Search(StrEnum):
    """How sentences are found: by attention decoder and CTC, or by CTC's best path alone."""

    beam = "beam"
    greedy = "greedy"


@dataclass(frozen=True)
class Hypothesis:
    """What may have been said.

    Attributes:
        text: the sentence.
        score: its log probability, CTC and attention decoder weighed as the search does; that of
            CTC's best path if it was found so.
    """

    text: str
    score: float


class TextDecoder(Decoder):
    """Beam search that starts with the task's own token (Watanabe et al. 2017), or none."""

    @dataclass
    class Config:
        """Options of the search; all but the first are those of beam search.

        Attributes:
            search: beam, or greedy: CTC's best path, a hundred times faster, with more errors, most
                of all in translation.
            beam_size: hypotheses kept.
            ctc_weight: share of the CTC prefix score, the rest is the attention decoder's.
            length_bonus: added to the score for every token.
            max_length_ratio: most tokens per frame of the input; one token is always allowed.

        >>> TextDecoder.Config(beam_size=1).ctc_weight
        0.5
        """

        search: Search = Search.beam
        beam_size: int = bounded(5, least=1)
        ctc_weight: float = bounded(0.5, least=0, most=1)
        length_bonus: float = 0.0
        max_length_ratio: float = bounded(0.4, above=0)

    def __init__(self, config: Config, head: TextHead, units: TextUnits):
        """Take over a head and its units."""
        super().__init__(config, head, units)
        self.config = config
        self.head = head
        self.vocabulary = units.vocabulary

    @override
    def decode(self, frames: Frames) -> list[str]:
        """The best sentence of each row."""
        # A search that found nothing possible has nothing to say: an empty sentence, counted as
        # errors.
        return [found[0].text if found else "" for found in self._find(frames, count=1)]

    def search(self, frames: Frames) -> list[list[Hypothesis]]:
        """The hypotheses of each row, the best first: as many as the beam has, or one if greedy."""
        return self._find(frames, count=self.config.beam_size)

    def _find(self, frames: Frames, count: int) -> list[list[Hypothesis]]:
        if self.config.search is Search.greedy:
            found = best_paths(self._ctc(frames), frames.lengths_B)
            return [[self._hypothesis(*one)] for one in zip(*found, strict=True)]
        results = self._beam_search(frames, count).run()
        return [[self._hypothesis(one.ids, one.score) for one in of_row] for of_row in results]

    def _hypothesis(self, ids: Iterable[int], score: float) -> Hypothesis:
        return Hypothesis(self.vocabulary.decode(ids), score)

    def _ctc(self, frames: Frames) -> torch.Tensor:
        layer: Any = self.head.ctc[frames.task.name]
        return layer.log_softmax(frames.h_BTD)

    def _beam_search(self, frames: Frames, count: int) -> BeamSearch:
        config, eos = self.config, self.vocabulary.eos
        h_BTD, lengths_B = frames.h_BTD, frames.lengths_B
        scorers = []
        # Nobody is asked whose word does not count; without the decoder's share there is nothing to
        # choose the candidates of CTC by.
        if config.ctc_weight < 1:
            start = self.head.start[frames.task.name]
            steps = AttentionSteps(self.head.decoder, h_BTD, lengths_B, start)
            scorers.append(Weighted(steps, 1.0 - config.ctc_weight))
        if config.ctc_weight > 0:
            prefixes = CtcPrefixes(self._ctc(frames), lengths_B, eos)
            scorers.append(Weighted(prefixes, config.ctc_weight))

        # Of its own frames: a row must not depend on longer ones.
        limits = [max(1, int(config.max_length_ratio * length)) for length in lengths_B.tolist()]
        limit_B = torch.tensor(limits, device=h_BTD.device)
        rules = Rules(eos, config.beam_size, config.length_bonus, count)
        return BeamSearch(scorers, rules, limit_B)
