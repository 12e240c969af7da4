"""Text by ESPnet's batched beam search over attention decoder and CTC prefix scores."""

from dataclasses import dataclass
from typing import Any, override

import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.decoding.base import Decoder
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.text import TextHead
from aio_toolkit.tasks import Task


@dataclass(frozen=True)
class Hypothesis:
    """What may have been said.

    Attributes:
        text: the sentence.
        score: its log probability, CTC and attention decoder weighed as the search does.
    """

    text: str
    score: float


class TextDecoder(Decoder):
    """Beam search that starts with the task's own token (Watanabe et al. 2017)."""

    @dataclass
    class Config:
        """Options of beam search.

        Attributes:
            beam_size: hypotheses kept.
            ctc_weight: share of the CTC prefix score, the rest is the attention decoder's.
            length_bonus: added to the score for every token.
            max_length_ratio: most tokens per frame of the input; one token is always allowed.

        >>> TextDecoder.Config(beam_size=1).ctc_weight
        0.5
        """

        beam_size: int = 5
        ctc_weight: float = 0.5
        length_bonus: float = 0.0
        max_length_ratio: float = 0.4

    def __init__(self, config: Config, head: TextHead, units: TextUnits):
        super().__init__(config, head, units)
        self.config = config
        self.head = head
        self.vocabulary = units.vocabulary
        self.searches: dict[str, BatchBeamSearch] = {}

    @override
    def decode(self, frames: Frames) -> list[str]:
        """The best sentence of each row."""
        # A search that ended with no finished hypothesis has nothing to say: an empty sentence,
        # counted as errors.
        return [found[0].text if found else "" for found in self.search(frames)]

    def search(self, frames: Frames) -> list[list[Hypothesis]]:
        """The hypotheses of each row, the best first."""
        name = frames.task.name
        # A search is made for one start token.
        if name not in self.searches:
            self.searches[name] = self._build_search(frames.task)
        # A ratio, not a number of tokens: the limit of a row must not depend on longer ones.
        results = self.searches[name](
            frames.h_BTD,
            maxlenratio=self.config.max_length_ratio,
            x_lengths=frames.lengths_B,
        )
        return [[self._hypothesis(one) for one in of_row] for of_row in results]

    def _hypothesis(self, found: Any) -> Hypothesis:
        # The first token is the task's.
        ids = found.yseq[1:].tolist()
        score = torch.as_tensor(found.score).detach()
        return Hypothesis(self.vocabulary.decode(ids), float(score))

    def _build_search(self, task: Task) -> BatchBeamSearch:
        config, vocabulary = self.config, self.vocabulary
        search = BatchBeamSearch(
            scorers={
                "decoder": self.head.decoder,
                "ctc": CTCPrefixScorer(self.head.ctc[task.name], vocabulary.eos),
                "length_bonus": LengthBonus(len(vocabulary)),
            },
            weights={
                "decoder": 1.0 - config.ctc_weight,
                "ctc": config.ctc_weight,
                "length_bonus": config.length_bonus,
            },
            beam_size=config.beam_size,
            vocab_size=len(vocabulary),
            sos=vocabulary.start(task.name),
            eos=vocabulary.eos,
            # Without the decoder's share there is nothing to choose the candidates of CTC by.
            pre_beam_score_key=None if config.ctc_weight == 1.0 else "full",
        )
        return search.eval()
