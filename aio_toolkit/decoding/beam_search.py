"""Beam search over the rows of a batch at a time, with as many judges of a hypothesis as wanted.

Letters: B rows that are still searched, A those that go on, H hypotheses of each, V vocabulary,
L tokens so far.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from aio_toolkit.layers import row_numbers

# Candidates of a hypothesis for the next token, in beams.
PRE_BEAM = 1.5


class Scorer(Protocol):
    """Holds the hypotheses of each row, one and empty at first, and judges continuations."""

    def scores(self) -> torch.Tensor:
        """Log probabilities (B, H, V) of the hypotheses with each token behind them."""

    def advance(self, parent_BH: torch.Tensor, token_BH: torch.Tensor) -> None:
        """Replace the hypotheses by some of their continuations."""

    def keep(self, row_A: torch.Tensor) -> None:
        """Forget all rows but some."""


@dataclass(frozen=True)
class Weighted:
    """A judge and the weight of its scores.

    Attributes:
        scorer: the judge.
        weight: what its scores are multiplied by.
    """

    scorer: Scorer
    weight: float


@dataclass(frozen=True)
class Rules:
    """What is searched for.

    Attributes:
        eos: id of the token that ends a sentence.
        beam_size: hypotheses kept.
        length_bonus: added to the score for every token.
        count: sentences wanted of each row.
    """

    eos: int
    beam_size: int
    length_bonus: float
    count: int


@dataclass(frozen=True)
class Sentence:
    """A finished hypothesis.

    Attributes:
        ids: its tokens; the end is the last of them unless the limit came first.
        score: weighted sum of the scorers' log probabilities, bonus included.
    """

    ids: list[int]
    score: float


class BeamSearch:
    """Finds what ESPnet's `BatchBeamSearch` finds, and stops when nothing better can come.

    The first scorer chooses the candidates of the others. A sentence is finished by its end, or by
    the limit of its row without the scorers being asked. A row is done, and leaves the batch, when
    no hypothesis can still become one of its best sentences: log probabilities fall with each
    token, so nothing but the bonus of the tokens that are left can raise a score. ESPnet goes on to
    the limit.

    >>> class Coin:
    ...     score_BH = torch.zeros(1, 1)
    ...
    ...     def scores(self):  # ends with even odds, else says 1
    ...         self.score_BHV = self.score_BH[..., None] + torch.tensor([0, 0.5, 0.5]).log()
    ...         return self.score_BHV
    ...
    ...     def advance(self, parent_BH, token_BH):
    ...         self.score_BH = self.score_BHV[0, parent_BH, token_BH]
    ...
    ...     def keep(self, row_A):
    ...         pass
    >>> rules = Rules(eos=2, beam_size=2, length_bonus=0.0, count=2)
    >>> (sentences,) = BeamSearch([Weighted(Coin(), 1.0)], rules, torch.tensor([9])).run()
    >>> [sentence.ids for sentence in sentences]
    [[2], [1, 2]]
    """

    def __init__(self, scorers: Sequence[Weighted], rules: Rules, limit_B: torch.Tensor):
        """Begin with an empty hypothesis in each row.

        Args:
            scorers: who judges, at least one.
            rules: what is searched for.
            limit_B: most tokens of each row, at least one.
        """
        self.scorers = scorers
        self.rules = rules
        self.found: list[list[Sentence]] = [[] for _ in limit_B]
        # Of the rows that are still searched: their numbers, limits and hypotheses. A hypothesis
        # that is finished stays in its place with a score of minus infinity.
        self.rows = list(range(len(limit_B)))
        self.limit_B = limit_B
        self.score_BH = limit_B.new_zeros((len(limit_B), 1), dtype=torch.float64)
        self.ids_BHL = limit_B.new_zeros((len(limit_B), 1, 0))

    def run(self) -> list[list[Sentence]]:
        """The best sentences of each row, the best first; none if all are impossible."""
        while self.rows:
            parent_BH, token_BH = self._choose(self._totals())
            self._collect(token_BH)
            open_A = self._open()
            if len(open_A) < len(self.rows):
                self._keep(open_A)
                parent_BH, token_BH = parent_BH[open_A], token_BH[open_A]
            if self.rows:
                for one in self.scorers:
                    one.scorer.advance(parent_BH, token_BH)
        return self.found

    @property
    def length(self) -> int:
        """Tokens of the hypotheses so far."""
        return self.ids_BHL.shape[2]

    def _totals(self) -> torch.Tensor:
        """Scores (B, H, V) of all continuations."""
        first, *others = self.scorers
        total_BHV = first.weight * first.scorer.scores()
        total_BHV = total_BHV + (self.length + 1) * self.rules.length_bonus
        if others:
            total_BHV.masked_fill_(self._is_left_out(total_BHV), -torch.inf)
        for other in others:
            total_BHV = total_BHV + other.weight * other.scorer.scores()
        return total_BHV.masked_fill(self.score_BH.isneginf()[..., None], -torch.inf)

    def _is_left_out(self, total_BHV: torch.Tensor) -> torch.Tensor:
        """Which continuations are no candidates; the end always is one."""
        count = min(int(PRE_BEAM * self.rules.beam_size), total_BHV.shape[2])
        is_left_out_BHV = torch.ones_like(total_BHV, dtype=torch.bool)
        is_left_out_BHV.scatter_(2, total_BHV.topk(count).indices, value=False)
        is_left_out_BHV[..., self.rules.eos] = False
        return is_left_out_BHV

    def _choose(self, total_BHV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Go on with the best continuations; their parents and tokens (B, H)."""
        H, V = total_BHV.shape[1:]
        self.score_BH, place_BH = total_BHV.flatten(1).topk(min(self.rules.beam_size, H * V))
        parent_BH, token_BH = place_BH // V, place_BH % V
        row_B1 = row_numbers(place_BH)
        ids_BHL = self.ids_BHL[row_B1, parent_BH]
        self.ids_BHL = torch.cat([ids_BHL, token_BH[..., None]], 2)
        return parent_BH, token_BH

    def _collect(self, token_BH: torch.Tensor) -> None:
        """Take what is finished from the hypotheses into the lists."""
        is_finished_BH = (token_BH == self.rules.eos) | (self.limit_B == self.length)[:, None]
        is_finished_BH &= self.score_BH.isfinite()
        places = is_finished_BH.nonzero().tolist()
        ids = self.ids_BHL[is_finished_BH].tolist()
        scores = self.score_BH[is_finished_BH].tolist()
        for (b, _), *sentence in zip(places, ids, scores, strict=True):
            row = self.rows[b]
            so_far = [*self.found[row], Sentence(*sentence)]
            self.found[row] = heapq.nlargest(self.rules.count, so_far, key=_score)
        self.score_BH = self.score_BH.masked_fill(is_finished_BH, -torch.inf)

    def _open(self) -> list[int]:
        """Places of the rows of which a hypothesis may still become one of the best sentences."""
        most_B = self.score_BH.amax(1)
        most_B = most_B + max(self.rules.length_bonus, 0.0) * (self.limit_B - self.length)
        places = []
        for b, most in enumerate(most_B.tolist()):
            found = self.found[self.rows[b]]
            least = found[-1].score if len(found) == self.rules.count else -math.inf
            if most > least:
                places.append(b)
        return places

    def _keep(self, open_A: list[int]) -> None:
        """Forget the rows that are done."""
        self.rows = [self.rows[b] for b in open_A]
        row_A = torch.tensor(open_A, dtype=torch.long, device=self.limit_B.device)
        self.limit_B = self.limit_B[row_A]
        self.score_BH, self.ids_BHL = self.score_BH[row_A], self.ids_BHL[row_A]
        for one in self.scorers:
            one.scorer.keep(row_A)


def _score(sentence: Sentence) -> float:
    return sentence.score
