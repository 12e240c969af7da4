"""Masking statistics."""

import pytest
import torch

from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.ssl.masking import SpanMasking, sample_spans


@pytest.mark.parametrize(("share", "span"), [(0.3, 4), (0.5, 8), (0.65, 10)])
def test_hidden_share_is_the_asked_one_everywhere(share, span):
    torch.manual_seed(0)
    hidden_BT = sample_spans(torch.ones(4000, 60, dtype=torch.bool), share, span).float()
    assert hidden_BT.mean().item() == pytest.approx(share, abs=0.01)
    # The first and the last frame are hidden as often as any other.
    assert hidden_BT[:, 0].mean().item() == pytest.approx(share, abs=0.03)
    assert hidden_BT[:, -1].mean().item() == pytest.approx(share, abs=0.03)


def test_spans_are_at_least_as_long_as_asked_inside_the_utterance():
    torch.manual_seed(1)
    hidden_BT = sample_spans(torch.ones(200, 80, dtype=torch.bool), 0.3, 6)
    for row in hidden_BT.int().tolist():
        runs = "".join(map(str, row)).strip("1").split("0")  # runs that touch an edge may be cut
        assert sum(row) == 1 or all(len(run) == 0 or len(run) >= 6 for run in runs)


def test_padding_is_never_hidden_and_every_row_hides_something():
    torch.manual_seed(2)
    valid_BT = valid_frames(torch.tensor([1, 3, 20]), 20)
    for _ in range(50):
        hidden_BT = sample_spans(valid_BT, 0.05, 4)
        assert not (hidden_BT & ~valid_BT).any()
        assert hidden_BT.any(1).all()


def test_hidden_frames_carry_nothing_of_the_input():
    masking = SpanMasking(4, 0.5, 8)
    x_BTD = torch.randn(3, 30, 4)
    y_BTD, hidden_BT = masking(x_BTD, torch.ones(3, 30, dtype=torch.bool))
    assert (y_BTD[hidden_BT] == masking.embedding).all()
    assert (y_BTD[~hidden_BT] == x_BTD[~hidden_BT]).all()
