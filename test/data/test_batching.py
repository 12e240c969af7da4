"""Which utterances share a batch in validation and decoding."""

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.data.batching import fixed_batches

UTTERANCE = st.tuples(st.sampled_from("ab"), st.integers(1, 50))


@settings(max_examples=30, deadline=None)
@given(st.lists(UTTERANCE, min_size=1, max_size=40), st.integers(1, 120))
def test_fixed_batches_hold_every_utterance_once_and_one_task_each(utterances, budget):
    tasks, frames = zip(*utterances, strict=True)
    batches = fixed_batches(tasks, frames, budget)
    assert Counter(itertools.chain(*batches)) == Counter(range(len(tasks)))
    for batch in batches:
        assert len({tasks[index] for index in batch}) == 1
        assert len(batch) == 1 or len(batch) * max(frames[index] for index in batch) <= budget


def test_fixed_batches_start_with_the_longest_of_each_task():
    tasks, frames = ["b", "a", "b", "a", "a"], [30, 10, 50, 40, 20]
    assert fixed_batches(tasks, frames, 80) == [[3, 4], [1], [2], [0]]
