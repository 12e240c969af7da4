"""Frames before frames: a loop over rows, and the way back."""

import torch

from aio_toolkit.models.prefix import Prefix, cut_off, prepend


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of 4, 2 and 3 frames; padding is not zero."""
    torch.manual_seed(0)
    return torch.randn(3, 4, 2), torch.tensor([4, 2, 3])


def prefixes() -> list[Prefix]:
    """One for the rows 0 and 2, another for row 2 alone."""
    return [
        Prefix(torch.randn(2, 5, 2), torch.tensor([3, 5]), rows=[0, 2]),
        Prefix(torch.randn(1, 2, 2), torch.tensor([1]), rows=[2]),
    ]


def test_rows_begin_with_their_prefixes_in_their_order():
    (x_BTD, lengths_B), (first, second) = rows(), prefixes()
    longer_BTD, longer_B = prepend(x_BTD, lengths_B, [first, second])
    want = [
        torch.cat([first.x_RTD[0, :3], x_BTD[0, :4]]),
        x_BTD[1, :2],
        torch.cat([first.x_RTD[1, :5], second.x_RTD[0, :1], x_BTD[2, :3]]),
    ]
    assert longer_B.tolist() == [len(row_TD) for row_TD in want]
    for row_TD, want_TD in zip(longer_BTD, want, strict=True):
        assert torch.equal(row_TD[: len(want_TD)], want_TD)
        assert row_TD[len(want_TD) :].abs().sum() == 0


def test_what_is_cut_off_is_the_recording():
    x_BTD, lengths_B = rows()
    longer_BTD, longer_B = prepend(x_BTD, lengths_B, prefixes())
    back_BTD = cut_off(longer_BTD, longer_B, lengths_B, num_frames=4)
    for row, length in enumerate(lengths_B.tolist()):
        assert torch.equal(back_BTD[row, :length], x_BTD[row, :length])
        assert back_BTD[row, length:].abs().sum() == 0
