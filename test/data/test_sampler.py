"""Batches that mix tasks: reproducible, resumable, shardable, without waste."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.data.sampler import TaskBatchSampler, fixed_batches
from aio_toolkit.errors import AioError

TASKS = ["a"] * 40 + ["b"] * 25 + ["c"] * 3
FRAMES = np.random.default_rng(0).integers(20, 120, len(TASKS)).tolist()
BUDGET = {"a": 400, "b": 200, "c": 150}


def sampler(num_batches: int = 30, **options) -> TaskBatchSampler:
    return TaskBatchSampler(TASKS, FRAMES, BUDGET, num_batches, **{"seed": 0, **options})


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    assert list(sampler()) == list(sampler())
    assert list(sampler()) != list(sampler(seed=1))


@pytest.mark.parametrize("start", [0, 1, 17, 30])
def test_resuming_continues_where_the_run_stopped(start):
    assert list(sampler(start=start)) == list(sampler())[start:]


def test_ranks_share_the_batches_of_one_longer_run():
    ranks = [list(sampler(10, rank=rank, num_ranks=3)) for rank in range(3)]
    assert list(itertools.chain(*zip(*ranks, strict=True))) == list(sampler(30))


def test_every_batch_holds_every_task_within_its_budget():
    for batch in sampler():
        for task, budget in BUDGET.items():
            frames = [FRAMES[index] for index in batch if TASKS[index] == task]
            assert frames
            assert len(frames) == 1 or len(frames) * max(frames) <= budget


def test_no_utterance_comes_back_before_all_others_of_its_task():
    seen = [index for batch in sampler(200) for index in batch if TASKS[index] == "b"]
    for first in range(0, len(seen) - 25, 25):
        assert sorted(seen[first : first + 25]) == list(range(40, 65))


def test_a_task_without_utterances_is_named():
    with pytest.raises(AioError, match="task z"):
        TaskBatchSampler(TASKS, FRAMES, {"a": 10, "z": 10}, 1, seed=0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50)), min_size=1, max_size=40), st.integers(1, 120))
def test_fixed_batches_hold_every_utterance_once_and_one_task_each(utterances, budget):
    tasks, frames = zip(*utterances, strict=True)
    batches = fixed_batches(tasks, frames, budget)
    assert Counter(itertools.chain(*batches)) == Counter(range(len(tasks)))
    for batch in batches:
        assert len({tasks[index] for index in batch}) == 1
        assert len(batch) == 1 or len(batch) * max(frames[index] for index in batch) <= budget
