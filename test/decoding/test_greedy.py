"""The best path of CTC against loops."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.decoding.greedy import best_paths


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 1000))
def test_repeats_are_one_token_and_blanks_and_padding_none(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    # Three tokens, so that repeats and blanks between them are common.
    log_prob_BTV = torch.randn(len(lengths), 9, 3, generator=generator).log_softmax(2)
    ids, scores = best_paths(log_prob_BTV, torch.tensor(lengths))
    assert len(ids) == len(scores) == len(lengths)
    for row, length in enumerate(lengths):
        path = [max(range(3), key=frame.__getitem__) for frame in log_prob_BTV[row].tolist()]
        want = [token for token, _ in itertools.groupby(path[:length]) if token != 0]
        assert ids[row] == want
        score = sum(log_prob_BTV[row, t, path[t]].item() for t in range(length))
        assert abs(scores[row] - score) < 1e-5


def test_a_row_of_silence_says_nothing():
    log_prob_BTV = torch.tensor([[[-0.1, -3.0]] * 4])
    ids, scores = best_paths(log_prob_BTV, torch.tensor([3]))
    assert ids == [[]]
    torch.testing.assert_close(scores[0], -0.3)
