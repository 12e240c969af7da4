"""Statistics of masking."""

import pytest
import torch

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.layers import valid_frames
from aio_toolkit.models.masking import SpanMasking, sample_spans


@pytest.mark.parametrize(("share", "span"), [(0.3, 4), (0.5, 8), (0.65, 10)])
def test_the_masked_share_is_the_asked_one_everywhere(share, span):
    torch.manual_seed(0)
    masked_BT = sample_spans(torch.ones(4000, 60, dtype=torch.bool), share, span).float()
    assert masked_BT.mean().item() == pytest.approx(share, abs=0.01)
    # The first and the last frame are masked as often as any other.
    assert masked_BT[:, 0].mean().item() == pytest.approx(share, abs=0.03)
    assert masked_BT[:, -1].mean().item() == pytest.approx(share, abs=0.03)


def test_spans_are_at_least_as_long_as_asked_inside_the_utterance():
    torch.manual_seed(1)
    masked_BT = sample_spans(torch.ones(200, 80, dtype=torch.bool), 0.3, 6)
    for row in masked_BT.int().tolist():
        runs = "".join(map(str, row)).strip("1").split("0")  # runs that touch an edge may be cut
        assert sum(row) == 1 or all(len(run) == 0 or len(run) >= 6 for run in runs)


def test_padding_is_never_masked_and_every_row_has_a_masked_frame():
    torch.manual_seed(2)
    valid_BT = valid_frames(torch.tensor([1, 3, 20]), 20)
    for _ in range(50):
        masked_BT = sample_spans(valid_BT, 0.05, 4)
        assert not (masked_BT & ~valid_BT).any()
        assert masked_BT.any(1).all()


def test_masked_frames_carry_nothing_of_the_input():
    masking = SpanMasking(SpanMasking.Config(0.5, 8), 4)
    x_BTD = torch.randn(3, 30, 4)
    y_BTD, masked_BT = masking(x_BTD, torch.ones(3, 30, dtype=torch.bool))
    assert (y_BTD[masked_BT] == masking.embedding).all()
    assert (y_BTD[~masked_BT] == x_BTD[~masked_BT]).all()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 1.5])
def test_a_share_that_masks_nothing_or_all_is_named(share):
    with pytest.raises(AioError, match="key 'share' must be above 0 and below 1, not"):
        from_values(SpanMasking.Config, {"share": share}, "masking")


def test_a_span_without_a_frame_is_named():
    with pytest.raises(AioError, match="key 'span' must be at least 1, not 0"):
        from_values(SpanMasking.Config, {"span": 0}, "masking")
