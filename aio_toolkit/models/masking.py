"""Masking of spans of frames.

Letters: B batch, T frames, D width, S places where a span may start.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.ranges import bounded


class SpanMasking(nn.Module):
    """Replaces random spans of the encoder's input by a learned vector.

    >>> masking = SpanMasking(SpanMasking.Config(share=0.3, span=2), width=4)
    >>> x_BTD, valid_BT = torch.randn(2, 9, 4), torch.ones(2, 9, dtype=torch.bool)
    >>> seen_BTD, masked_BT = masking(x_BTD, valid_BT)
    >>> torch.equal(seen_BTD[~masked_BT], x_BTD[~masked_BT])
    True
    """

    @dataclass
    class Config:
        """How much is masked.

        Attributes:
            share: expected share of frames that are masked, in (0, 1).
            span: frames masked at a stretch.
        """

        share: float = bounded(0.5, above=0, below=1)
        span: int = bounded(8, least=1)

    def __init__(self, config: Config, width: int):
        """Make the vector that stands in for masked frames."""
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.randn(width) * 0.02)

    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask spans that are drawn anew at each call.

        Returns:
            The input with spans masked, and the mask (B, T), True where it did so.
        """
        masked_BT = sample_spans(valid_BT, self.config.share, self.config.span)
        embedding_D = self.embedding.to(x_BTD.dtype)
        seen_BTD = torch.where(masked_BT[..., None], embedding_D, x_BTD)
        return seen_BTD, masked_BT


def sample_spans(valid_BT: torch.Tensor, share: float, span: int) -> torch.Tensor:
    """Mask (B, T) of spans that start anywhere; each real frame is masked with probability `share`.

    A frame is masked if any of the `span` frames up to it starts a span, so the probability of a
    start, s, solves 1 - (1 - s) ** span = share. Spans may start before the first frame, so that
    frames at the edges are masked as often as others. At least one frame of each row is masked.

    >>> sample_spans(torch.tensor([[True, False, False]]), share=0.1, span=2)
    tensor([[ True, False, False]])
    """
    B, T = valid_BT.shape
    device = valid_BT.device
    start_probability = 1 - (1 - share) ** (1 / span)
    chance_BS = torch.rand(B, T + span - 1, device=device)
    start_BS = (chance_BS < start_probability).float()
    # The largest of the starts in reach of a frame tells whether it is masked.
    reached_B1T = F.max_pool1d(start_BS[:, None], span, stride=1)
    masked_BT = reached_B1T[:, 0].bool() & valid_BT

    # A row without a masked frame would be wasted, and a batch of them has no mean loss.
    chance_BT = torch.rand(B, T, device=device)
    chosen_B = chance_BT.masked_fill(~valid_BT, -1.0).argmax(1)
    row_B = torch.arange(B, device=device)
    masked_BT[row_B, chosen_B] |= ~masked_BT.any(1)
    return masked_BT
