"""Hiding spans of frames."""

import torch
import torch.nn.functional as F
from torch import nn


class SpanMasking(nn.Module):
    """Replaces random spans of the encoder's input by a learned vector."""

    def __init__(self, width: int, mask_share: float, span: int):
        super().__init__()
        self.mask_share, self.span = mask_share, span
        self.embedding = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's input with spans hidden, and the mask (B, T) that is True where hidden."""
        hidden_BT = sample_spans(valid_BT, self.mask_share, self.span)
        return torch.where(hidden_BT[..., None], self.embedding.to(x_BTD.dtype), x_BTD), hidden_BT


def sample_spans(valid_BT: torch.Tensor, mask_share: float, span: int) -> torch.Tensor:
    """Mask (B, T) of spans starting anywhere, so that each real frame is hidden with probability `mask_share`.

    A frame is hidden if any of the `span` frames up to it starts a span, so the probability of a start, s,
    solves 1 - (1 - s) ** span = mask_share. Spans may start before the first frame: edges are no exception.
    At least one frame of each row is hidden.
    """
    B, T = valid_BT.shape
    start_probability = 1 - (1 - mask_share) ** (1 / span)
    start_BT = torch.rand(B, T + span - 1, device=valid_BT.device) < start_probability
    hidden_BT = F.max_pool1d(start_BT.float()[:, None], span, stride=1)[:, 0].bool() & valid_BT
    chance_BT = torch.rand(B, T, device=valid_BT.device).masked_fill(~valid_BT, -1.0)
    row_B = torch.arange(B, device=valid_BT.device)
    hidden_BT[row_B, chance_BT.argmax(1)] |= ~hidden_BT.any(1)
    return hidden_BT
