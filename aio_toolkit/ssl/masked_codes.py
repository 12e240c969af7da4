"""Masked prediction of codec codes (EnCodecMAE, Pepino et al. 2023, with one classifier per codebook)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.codec.usage import entropy_share
from aio_toolkit.ssl.base import MaskedBatch


class MaskedCodes(nn.Module):
    """Predict the codec's codes of the hidden frames. Implements `ssl.base.Objective`."""

    @dataclass
    class Config:
        """Weighting.

        Attributes:
            num_codebooks: how many leading codebooks are predicted; all by default.
            codebook_decay: the weight of codebook q is `codebook_decay ** q`: coarse codes carry the content.
        """

        num_codebooks: int | None = None
        codebook_decay: float = 0.7

    def __init__(self, config: Config, width: int, num_codebooks: int, codebook_size: int):
        super().__init__()
        self.num_codebooks = min(config.num_codebooks or num_codebooks, num_codebooks)
        self.codebook_size = codebook_size
        self.classifier = nn.Linear(width, self.num_codebooks * codebook_size)
        weight_Q = config.codebook_decay ** torch.arange(self.num_codebooks).float()
        self.register_buffer("codebook_weight_Q", weight_Q / weight_Q.sum())

    def loss(self, batch: MaskedBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted cross-entropy over codebooks on the hidden frames, and accuracy and perplexity of each."""
        codes_MQ = batch.codes_BTQ[batch.hidden_BT][:, : self.num_codebooks]
        loss_Q, figures = classify(self.classifier(batch.states[-1][batch.hidden_BT]), codes_MQ, self.codebook_size)
        return (loss_Q * self.codebook_weight_Q).sum(), figures

    def after_step(self, encoder: nn.Module) -> None:
        """Nothing follows the encoder."""


def classify(logit_MX: torch.Tensor, label_MQ: torch.Tensor, size: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy (Q,) of Q classifiers of `size` classes side by side, and figures of each.

    Accuracy, perplexity, and the entropy of the labels as a share of what is possible: few labels are easy to predict,
    so a high accuracy means little where the share is low.
    """
    M, Q = label_MQ.shape
    logit_MQV = logit_MX.float().view(M, Q, size)
    loss_Q = F.cross_entropy(logit_MQV.transpose(1, 2), label_MQ, reduction="none").mean(0)
    accuracy_Q = (logit_MQV.detach().argmax(-1) == label_MQ).float().mean(0)
    counts_QV = torch.zeros(Q, size, device=label_MQ.device)
    counts_QV.scatter_add_(1, label_MQ.T, torch.ones(Q, M, device=label_MQ.device))
    figures = {f"accuracy_q{q}": accuracy_Q[q] for q in range(Q)}
    figures |= {f"perplexity_q{q}": loss_Q[q].detach().exp() for q in range(Q)}
    return loss_Q, figures | {"label_usage": entropy_share(counts_QV).mean()}
