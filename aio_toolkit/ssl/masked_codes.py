"""Masked prediction of codec codes (EnCodecMAE, Pepino et al. 2023, with one classifier per codebook)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


class MaskedCodes(nn.Module):
    """Hide spans of frames, predict the codec's codes there. Implements `ssl.base.Objective`."""

    @dataclass
    class Config:
        """Masking and weighting.

        Attributes:
            mask_share: expected share of frames hidden, in (0, 1).
            span: frames hidden at a stretch.
            num_codebooks: how many leading codebooks are predicted; all by default.
            codebook_decay: the weight of codebook q is `codebook_decay ** q`: coarse codes carry the content.
        """

        mask_share: float = 0.5
        span: int = 8
        num_codebooks: int | None = None
        codebook_decay: float = 0.7

    def __init__(self, config: Config, width: int, num_codebooks: int, codebook_size: int):
        super().__init__()
        self.config = config
        self.mask_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.num_codebooks = min(config.num_codebooks or num_codebooks, num_codebooks)
        self.classifier = nn.Linear(width, self.num_codebooks * codebook_size)
        weight_Q = config.codebook_decay ** torch.arange(self.num_codebooks).float()
        self.register_buffer("codebook_weight_Q", weight_Q / weight_Q.sum())

    def corrupt(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Replace random spans by a learned vector."""
        hidden_BT = sample_spans(valid_BT, self.config.mask_share, self.config.span)
        return torch.where(hidden_BT[..., None], self.mask_embedding.to(x_BTD.dtype), x_BTD), hidden_BT

    def loss(
        self, h_BTD: torch.Tensor, hidden_BT: torch.Tensor, codes_BTQ: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted cross-entropy over codebooks on the hidden frames, and accuracy and perplexity of each."""
        codes_MQ = codes_BTQ[hidden_BT][:, : self.num_codebooks]
        M, Q = codes_MQ.shape
        logit_MQV = self.classifier(h_BTD[hidden_BT]).float().view(M, Q, -1)
        loss_MQ = F.cross_entropy(logit_MQV.transpose(1, 2), codes_MQ, reduction="none")
        loss_Q = loss_MQ.mean(0)
        accuracy_Q = (logit_MQV.detach().argmax(-1) == codes_MQ).float().mean(0)
        figures = {f"accuracy_q{q}": accuracy_Q[q] for q in range(Q)}
        figures |= {f"perplexity_q{q}": loss_Q[q].detach().exp() for q in range(Q)}
        return (loss_Q * self.codebook_weight_Q).sum(), figures


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
