"""Beam search over tables of probabilities, against all sentences that there are."""

import itertools

import pytest
import torch

from aio_toolkit.decoding.beam_search import BeamSearch, Rules, Weighted

V, EOS = 4, 3


class Table:
    """Log probability of a token by the row, its place and the token before."""

    def __init__(self, log_prob_BLVV: torch.Tensor):
        self.log_prob_BLVV = log_prob_BLVV
        self.last_BH = torch.zeros(len(log_prob_BLVV), 1, dtype=torch.long)
        self.score_BH = torch.zeros(len(log_prob_BLVV), 1)
        self.place = self.asked = 0

    def scores(self) -> torch.Tensor:
        self.asked += 1
        row_B1 = torch.arange(len(self.last_BH))[:, None]
        now_BHV = self.log_prob_BLVV[row_B1, self.place, self.last_BH]
        self.score_BHV = self.score_BH[..., None] + now_BHV
        return self.score_BHV

    def advance(self, parent_BH: torch.Tensor, token_BH: torch.Tensor) -> None:
        row_B1 = torch.arange(len(self.last_BH))[:, None]
        self.score_BH = self.score_BHV[row_B1, parent_BH, token_BH]
        self.last_BH = token_BH
        self.place += 1

    def keep(self, row_A: torch.Tensor) -> None:
        self.log_prob_BLVV, self.score_BHV = self.log_prob_BLVV[row_A], self.score_BHV[row_A]
        self.score_BH, self.last_BH = self.score_BH[row_A], self.last_BH[row_A]


def random_tables(B: int, L: int, seed: int, sharpness: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(B, L, V, V, generator=generator)).log_softmax(3)


def all_sentences(tables: list[torch.Tensor], weights, limit: int, bonus: float):
    """Every sentence up to a limit with its score, the best first; no end is asked at the limit."""
    scored = []
    for length in range(1, limit + 1):
        for ids in itertools.product(range(V), repeat=length):
            is_finished = EOS not in ids[:-1] and (ids[-1] == EOS or length == limit)
            if not is_finished:
                continue
            score = bonus * length
            for table_LVV, weight in zip(tables, weights, strict=True):
                pairs = zip((0, *ids[:-1]), ids, strict=True)
                score += weight * sum(table_LVV[i, a, b].item() for i, (a, b) in enumerate(pairs))
            scored.append((list(ids), score))
    return sorted(scored, key=lambda one: -one[1])


@pytest.mark.parametrize("bonus", [-0.7, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_huge_beam_finds_the_best_of_all_sentences_in_their_order(bonus, seed):
    tables, limits, count = random_tables(3, 5, seed), [5, 1, 3], 4
    second = random_tables(3, 5, seed + 100)
    scorers = [Weighted(Table(tables), 0.3), Weighted(Table(second), 0.9)]
    rules = Rules(EOS, 5000, bonus, count)
    results = BeamSearch(scorers, rules, torch.tensor(limits)).run()
    for row, limit in enumerate(limits):
        want = all_sentences([tables[row], second[row]], (0.3, 0.9), limit, bonus)[:count]
        assert [one.ids for one in results[row]] == [ids for ids, _ in want]
        scores = [one.score for one in results[row]]
        assert scores == pytest.approx([score for _, score in want], abs=1e-5)


def test_a_beam_of_one_takes_the_best_token_of_each_step():
    table_LVV = random_tables(1, 6, 1)
    scorers = [Weighted(Table(table_LVV), 1.0)]
    ((only,),) = BeamSearch(scorers, Rules(EOS, 1, 0.0, 1), torch.tensor([6])).run()
    want, last = [], 0
    for place in range(6):
        last = int(table_LVV[0, place, last].argmax())
        want.append(last)
        if last == EOS:
            break
    assert only.ids == want


@pytest.mark.parametrize("seed", range(5))
def test_stopping_early_finds_what_going_on_to_the_limit_does(seed, monkeypatch):
    tables, limits = random_tables(4, 12, seed, sharpness=2.0), torch.tensor([12, 7, 12, 9])

    def run() -> tuple[list, int]:
        table = Table(tables)
        found = BeamSearch([Weighted(table, 1.0)], Rules(EOS, 3, 0.1, 3), limits).run()
        return found, table.asked

    stopped, fewer = run()

    def all_open(search: BeamSearch) -> list[int]:
        is_running_B = (search.limit_B > search.length).tolist()
        return [b for b, is_running in enumerate(is_running_B) if is_running]

    monkeypatch.setattr(BeamSearch, "_open", all_open)
    through, more = run()
    assert stopped == through
    assert fewer <= more


def test_a_bonus_that_is_yet_to_come_keeps_a_row_open():
    table_BLVV = torch.full((1, 9, V, V), -9.0)
    table_BLVV[..., 1] = -0.05
    # To go on is dear at first, and nine tokens' bonus is worth it.
    table_BLVV[0, 0, :, EOS], table_BLVV[0, 0, :, 1] = -0.1, -4.0
    rules = Rules(EOS, beam_size=3, length_bonus=1.0, count=1)
    ((best,),) = BeamSearch([Weighted(Table(table_BLVV), 1.0)], rules, torch.tensor([9])).run()
    assert best.ids == [1] * 9
    assert best.score == pytest.approx(9 * 1.0 - 4.0 - 8 * 0.05)


def test_a_row_that_can_get_no_better_is_judged_no_further():
    table_BLVV = torch.full((2, 30, V, V), -9.0)
    table_BLVV[..., 1] = -0.1
    # One row ends at the third place; nothing ends the other.
    table_BLVV[0, 2, :, EOS], table_BLVV[0, 2, :, 1] = -0.1, -9.0
    lengths = []

    class Watched(Table):
        def scores(self):
            lengths.append(len(self.last_BH))
            return super().scores()

    rules = Rules(EOS, 2, 0.0, 1)
    BeamSearch([Weighted(Watched(table_BLVV), 1.0)], rules, torch.tensor([30, 30])).run()
    assert lengths[:3] == [2, 2, 2]
    assert set(lengths[3:]) == {1}


def test_the_first_scorer_chooses_the_candidates_and_the_end_is_always_one():
    # For the first scorer the end is worst and the token 2 next to it; the second likes both.
    first = torch.tensor([-1.0, -2.0, -3.0, -4.0]).expand(1, 2, V, V)
    second = torch.tensor([-9.0, -9.0, -0.1, -8.0]).expand(1, 2, V, V)
    scorers = [Weighted(Table(first), 0.5), Weighted(Table(second), 0.5)]
    # One and a half candidates are one.
    ((best,),) = BeamSearch(scorers, Rules(EOS, 1, 0.0, 1), torch.tensor([1])).run()
    assert best.ids == [0]
    second = torch.tensor([-9.0, -9.0, -0.1, -0.2]).expand(1, 2, V, V)
    scorers = [Weighted(Table(first), 0.5), Weighted(Table(second), 0.5)]
    ((best,),) = BeamSearch(scorers, Rules(EOS, 1, 0.0, 1), torch.tensor([1])).run()
    assert best.ids == [EOS]


def test_a_row_of_which_everything_is_impossible_has_no_sentence():
    tables = random_tables(2, 3, 0)
    want = BeamSearch([Weighted(Table(tables[1:]), 1.0)], Rules(EOS, 2, 0.0, 2), torch.tensor([3]))
    tables[0] = -torch.inf
    rules, limit_B = Rules(EOS, 2, 0.0, 2), torch.tensor([3, 3])
    assert BeamSearch([Weighted(Table(tables), 1.0)], rules, limit_B).run() == [[], *want.run()]
