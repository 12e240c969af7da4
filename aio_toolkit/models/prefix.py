"""Frames of further inputs, such as an enrolment, in front of those of the recording.

Letters: B batch, R rows that have the input, T frames, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence


@dataclass
class Prefix:
    """What stands before the frames of some rows.

    Attributes:
        x_RTD: frames of the further input.
        lengths_R: real frames of each.
        rows: the row of the batch that each belongs to.
    """

    x_RTD: torch.Tensor
    lengths_R: torch.Tensor
    rows: Sequence[int]


def prepend(
    x_BTD: torch.Tensor, lengths_B: torch.Tensor, prefixes: Sequence[Prefix]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that begin with their prefixes, the first prefix first.

    Returns:
        Frames (B, T', D), zero on padding, and their real lengths (B,).

    >>> x_BTD, enrolment_RTD = torch.ones(2, 3, 1), torch.full((1, 4, 1), 5.0)
    >>> prefix = Prefix(enrolment_RTD, torch.tensor([2]), rows=[1])
    >>> longer_BTD, lengths_B = prepend(x_BTD, torch.tensor([3, 1]), [prefix])
    >>> longer_BTD[..., 0].tolist(), lengths_B.tolist()
    ([[1.0, 1.0, 1.0], [5.0, 5.0, 1.0]], [3, 3])
    """
    pieces: list[list[torch.Tensor]] = [[] for _ in x_BTD]
    for prefix in prefixes:
        for x_TD, length, row in zip(
            prefix.x_RTD, prefix.lengths_R.tolist(), prefix.rows, strict=True
        ):
            pieces[row].append(x_TD[:length])
    for row, length in enumerate(lengths_B.tolist()):
        pieces[row].append(x_BTD[row, :length])
    rows = [torch.cat(of_row) for of_row in pieces]
    lengths = [len(row_TD) for row_TD in rows]
    return pad_sequence(rows, batch_first=True), torch.tensor(lengths, device=lengths_B.device)


def cut_off(
    h_BTD: torch.Tensor, lengths_B: torch.Tensor, recording_B: torch.Tensor, num_frames: int
) -> torch.Tensor:
    """The frames (B, num_frames, D) of the recording, the last ones of each row, zero on padding.

    Args:
        h_BTD: frames of rows with their prefixes.
        lengths_B: real frames of each row.
        recording_B: how many of them are of the recording.
        num_frames: frames of the longest recording.

    >>> h_BTD = torch.arange(6.0).view(2, 3, 1)
    >>> cut_off(h_BTD, torch.tensor([3, 3]), torch.tensor([3, 1]), num_frames=3)[..., 0].tolist()
    [[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]
    """
    place_T = torch.arange(num_frames, device=h_BTD.device)
    start_B = lengths_B - recording_B
    # Beyond the end of a row any frame will do: it is silenced below.
    index_BT = (start_B[:, None] + place_T).clamp_max(h_BTD.shape[1] - 1)
    index_BTD = index_BT[..., None].expand(-1, -1, h_BTD.shape[-1])
    real_BT = place_T < recording_B[:, None]
    return h_BTD.gather(1, index_BTD) * real_BT[..., None]
