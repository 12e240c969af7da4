"""Batches that mix tasks: reproducible, resumable, shardable, without waste."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from aio_toolkit.data.mixing.base import MixtureDraw
from aio_toolkit.data.sampler import (
    NO_UTTERANCE,
    Draw,
    Material,
    Schedule,
    TaskBatchSampler,
)
from aio_toolkit.errors import AioError

TASKS = ["a"] * 40 + ["b"] * 25 + ["c"] * 3
FRAMES = np.random.default_rng(0).integers(20, 120, len(TASKS)).tolist()
BUDGET = {"a": 400, "b": 200, "c": 150}


def sampler(num_batches: int = 30, **options) -> TaskBatchSampler:
    schedule = Schedule(num_batches, **{"seed": 0, **options})
    return TaskBatchSampler(whole(TASKS, FRAMES), BUDGET, schedule)


def whole(tasks: list[str], lengths: list[int]) -> Material:
    """Utterances that are neither cut nor mixed."""
    return Material(tasks, lengths, longest={}, hop=1)


def indices_of(batches: Iterable[list[Draw]]) -> list[list[int]]:
    """Which utterances each batch holds."""
    return [[draw.index for draw in batch] for batch in batches]


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    assert list(sampler()) == list(sampler())
    assert list(sampler()) != list(sampler(seed=1))


@pytest.mark.parametrize("start", [0, 1, 17, 30])
def test_resuming_continues_where_the_run_stopped(start):
    assert list(sampler(start=start)) == list(sampler())[start:]


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_each_rank_resumes_where_it_stopped(rank):
    options = {"rank": rank, "num_ranks": 3}
    assert list(sampler(10, start=4, **options)) == list(sampler(10, **options))[4:]


def test_the_length_is_that_of_the_whole_run():
    assert len(sampler(30, start=17)) == len(sampler(30, rank=1, num_ranks=3)) == 30


def test_ranks_share_the_batches_of_one_longer_run():
    ranks = [list(sampler(10, rank=rank, num_ranks=3)) for rank in range(3)]
    assert list(itertools.chain(*zip(*ranks, strict=True))) == list(sampler(30))


def test_every_batch_holds_every_task_within_its_budget():
    for batch in indices_of(sampler()):
        for task, budget in BUDGET.items():
            frames = [FRAMES[index] for index in batch if TASKS[index] == task]
            assert frames
            assert len(frames) == 1 or len(frames) * max(frames) <= budget


@pytest.mark.parametrize("task", ["a", "b", "c"])
def test_every_utterance_comes_as_often_as_any_other_and_never_twice_in_a_batch(task):
    members = [index for index, of in enumerate(TASKS) if of == task]
    counts = Counter()
    for batch in indices_of(sampler(400)):
        found = [index for index in batch if index in members]
        assert len(found) == len(set(found))
        counts.update(found)
    assert counts.keys() == set(members)
    mean = counts.total() / len(members)
    assert all(abs(count - mean) <= 0.05 * mean + 1 for count in counts.values())


# A task of many utterances, whose batches hold nine of them on average.
MANY = np.random.default_rng(1).integers(20, 200, 600).tolist()


def batches_of_many(num_batches: int = 60) -> list[list[int]]:
    return batches_of(MANY, 1000, num_batches)


def batches_of(frames: list[int], budget: int, num_batches: int) -> list[list[int]]:
    """Batches of a single task."""
    schedule = Schedule(num_batches, seed=0)
    return indices_of(TaskBatchSampler(whole(["a"] * len(frames), frames), {"a": budget}, schedule))


def test_utterances_of_similar_length_come_together():
    batches = batches_of_many()
    longest = [max(MANY[index] for index in batch) for batch in batches]
    padded = sum(len(batch) * most for batch, most in zip(batches, longest, strict=True))
    real = sum(MANY[index] for batch in batches for index in batch)
    # In random order a third would be padding.
    assert real > 0.9 * padded


def test_batches_are_not_sorted_by_length():
    longest = [max(MANY[index] for index in batch) for batch in batches_of_many()]
    rises = sum(a < b for a, b in itertools.pairwise(longest))
    assert 15 < rises < 45


def test_an_utterance_has_other_neighbours_in_every_pass():
    """A pass has 77 batches; hardly one of the first comes back in the second."""
    batches = [frozenset(batch) for batch in batches_of_many(150) if len(batch) > 1]
    again = len(batches) - len(set(batches))
    assert again < 5


def test_a_group_is_closed_only_where_the_next_would_not_fit():
    """Frames of one length leave no room for chance: 6 of 13 frames fill 78."""
    batches = batches_of([13] * 12, 78, 7)
    assert [len(batch) for batch in batches] == [6] * 7


def test_an_utterance_beyond_the_budget_comes_alone():
    batches = batches_of([500, 10, 500], 80, 30)
    assert {len(batch) for batch in batches} == {1}
    assert {index for batch in batches for index in batch} == {0, 1, 2}


def test_no_task_at_all_is_an_error_of_the_configuration():
    with pytest.raises(AioError, match="'data.seconds' names no task"):
        TaskBatchSampler(whole(TASKS, FRAMES), {}, Schedule(1, seed=0))


def test_a_task_without_utterances_is_named():
    with pytest.raises(AioError, match="task z"):
        TaskBatchSampler(whole(TASKS, FRAMES), {"a": 10, "z": 10}, Schedule(1, seed=0))


# --- stretches and mixtures ---


class Rule:
    """Draws mixtures whose peak tells what was drawn."""

    def __init__(self, share: float):
        self.share = share

    def draw(self, rng: np.random.Generator, num_samples: int) -> MixtureDraw:
        return MixtureDraw("a", num_samples, (), rng.random())


def rows(material: Material, num_batches: int = 40, seed: int = 0) -> list[Draw]:
    """All draws of a run on task a, five or so in a batch."""
    found = TaskBatchSampler(material, {"a": 5000}, Schedule(num_batches, seed))
    return [draw for batch in found for draw in batch]


def test_stretches_start_on_the_grid_anywhere_and_equally_often():
    """Of 1,700 samples, 1,000 are taken: the grid of 100 has starts from 0 to 700."""
    draws = rows(Material(["a"] * 7, [1700] * 7, {"a": 1000}, hop=100), num_batches=160)
    counts = Counter(draw.start for draw in draws)
    assert counts.keys() == set(range(0, 800, 100))
    expected = len(draws) / 8
    assert all(abs(count - expected) < 4 * expected**0.5 for count in counts.values())
    assert {draw.num_samples for draw in draws} == {1000}


def rows_of_two_tasks(rule: dict | None = None, num_batches: int = 48) -> list[list[Draw]]:
    """Sentences of 500 to 2,000 samples; what can be cut is 1,500 long, and some of it 400."""
    sentences = np.random.default_rng(2).integers(500, 2001, 200).tolist()
    lengths = [*sentences, *[5000] * 50, *[400] * 5]
    material = Material(["s"] * 200 + ["a"] * 55, lengths, {"a": 1500}, 100, rules=rule or {})
    budgets = {"a": 9000, "s": 6000}
    return list(TaskBatchSampler(material, budgets, Schedule(num_batches, seed=0)))


def test_short_meets_short_and_what_can_be_cut_is_no_longer_than_what_cannot():
    longest, audio = [], []
    for batch in rows_of_two_tasks():
        sentences = [draw for draw in batch if draw.index < 200]
        cut = [draw for draw in batch if draw.index >= 200]
        longest.append(max(draw.num_samples for draw in sentences))
        limit = min(1500, -(-longest[-1] // 100) * 100)
        assert {draw.num_samples for draw in cut} <= {limit, 400}
        audio.append(len(cut) * limit)
        assert all(draw.start % 100 == 0 for draw in cut)
        assert all(draw.start + draw.num_samples <= 5000 for draw in cut if draw.num_samples > 400)
    # As much audio in every batch, however long its rows are.
    assert all(abs(samples - 9000) <= 750 for samples in audio)
    assert min(longest) < 700 and max(longest) > 1800


def test_what_can_be_cut_fills_what_batches_are_padded_to():
    material = Material(["s"] * 9 + ["a"] * 9, [530] * 9 + [5000] * 9, {"a": 1500}, 100, multiple=4)
    (batch,) = TaskBatchSampler(material, {"a": 4000, "s": 530}, Schedule(1, seed=0))
    assert [draw.num_samples for draw in batch] == [800] * 5 + [530]


def test_what_is_short_is_padded_little():
    """Rows of 400 samples stand in the batches of the shortest rows."""
    for batch in rows_of_two_tasks():
        short = [draw for draw in batch if draw.num_samples == 400]
        assert not short or max(draw.num_samples for draw in batch) < 1200


def test_mixtures_that_stand_for_no_utterance_are_as_long_as_the_others_of_their_batch():
    material = Material(["s"] * 40, [*range(500, 900, 10)], {"a": 700}, 100, rules={"a": Rule(1.0)})
    sampler = TaskBatchSampler(material, {"a": 4200, "s": 2000}, Schedule(20, seed=0))
    for batch in sampler:
        longest = max(draw.num_samples for draw in batch if draw.index != NO_UTTERANCE)
        mixed = [draw.num_samples for draw in batch if draw.index == NO_UTTERANCE]
        wanted = min(700, -(-longest // 100) * 100)
        assert mixed == [wanted] * round(4200 / wanted)


def test_what_is_no_longer_than_a_stretch_stays_whole():
    draws = rows(Material(["a"] * 3, [999, 1000, 700], {"a": 1000}, hop=100))
    assert {(draw.start, draw.num_samples) for draw in draws} == {(0, 999), (0, 1000), (0, 700)}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_a_rule_is_that_of_mixtures(share):
    draws = rows(Material(["a"] * 7, [1700] * 7, {"a": 1000}, 100, rules={"a": Rule(share)}), 200)
    mixed = [draw for draw in draws if draw.mixture is not None]
    assert len(mixed) / len(draws) == pytest.approx(share, abs=0.045)
    assert all((draw.index, draw.start) == (NO_UTTERANCE, 0) for draw in mixed)
    assert len({draw.mixture.peak for draw in mixed}) == len(mixed)


def test_a_mixture_is_as_long_as_the_row_that_it_stands_for():
    lengths = [300, 500, 800]
    with_rule = rows(Material(["a"] * 3, lengths, {"a": 600}, 100, rules={"a": Rule(1.0)}))
    without = rows(Material(["a"] * 3, lengths, {"a": 600}, 100))
    assert [d.num_samples for d in with_rule] == [d.num_samples for d in without]
    assert all(draw.mixture.num_samples == draw.num_samples for draw in with_rule)


def test_a_rule_changes_nothing_but_the_rows_of_its_own_task():
    tasks, lengths, budget = ["a", "b"] * 5, [900] * 10, {"a": 2000, "b": 2000}
    with_rule, without = (
        TaskBatchSampler(
            Material(tasks, lengths, {}, 100, rules=rules), budget, Schedule(20, seed=0)
        )
        for rules in ({"a": Rule(1.0)}, {})
    )
    for one, other in zip(with_rule, without, strict=True):
        assert one[2:] == other[2:]


def test_a_task_of_mixtures_alone_fills_its_budget():
    material = Material([], [], {"a": 1000}, 100, rules={"a": Rule(0.5)})
    draws = rows(material, num_batches=3)
    assert [(draw.batch, draw.row) for draw in draws] == [
        (b, r) for b in range(3) for r in range(5)
    ]
    assert all(draw.mixture is not None and draw.num_samples == 1000 for draw in draws)


def test_a_task_of_mixtures_alone_needs_a_length():
    with pytest.raises(AioError, match="no utterance whose length.*Set data.segment_seconds"):
        rows(Material([], [], {}, 100, rules={"a": Rule(1.0)}))


def test_rows_are_drawn_by_seed_batch_and_row():
    material = Material(["a"] * 7, [9000] * 7, {"a": 1000}, 100, rules={"a": Rule(0.5)})
    peaks = [d.mixture.peak for s in (0, 1) for d in rows(material, seed=s) if d.mixture]
    assert len(set(peaks)) == len(peaks)


def test_utterances_of_a_task_are_played_at_its_speeds_and_all_else_as_it_is():
    speeds = (0.8, 1.0, 1.25)
    material = Material(TASKS, FRAMES, longest={}, hop=1, speeds={"b": speeds})
    plain = itertools.chain(*sampler(200))
    played = itertools.chain(*TaskBatchSampler(material, BUDGET, Schedule(200, seed=0)))
    counts = Counter()
    for one, other in zip(plain, played, strict=True):
        assert (one.index, one.batch, one.row) == (other.index, other.batch, other.row)
        if TASKS[one.index] != "b":
            assert one == other
            continue
        counts[other.speed] += 1
        assert (other.start, other.num_samples) == (0, math.ceil(one.num_samples / other.speed))
    assert counts.keys() == set(speeds)
    assert min(counts.values()) > 0.8 * sum(counts.values()) / 3
