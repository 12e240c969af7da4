"""BEST-RQ (Chiu et al. 2022): predict which code of a random codebook a random projection of the input falls on."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.ssl.base import MaskedBatch
from aio_toolkit.ssl.masked_codes import classify


class BestRq(nn.Module):
    """Labels of hidden frames by random projection. Implements `ssl.base.Objective`. No codec is needed.

    Several codebooks with projections of their own steady the labels (Zhang et al. 2023, USM, multi-softmax).
    """

    @dataclass
    class Config:
        """Size of the random quantizer.

        Attributes:
            num_codebooks: codebooks Q.
            codebook_size: codes V in each.
            codebook_dim: width that features are projected to.
        """

        num_codebooks: int = 4
        codebook_size: int = 1024
        codebook_dim: int = 16

    def __init__(self, config: Config, width: int, num_features: int):
        super().__init__()
        self.codebook_size = config.codebook_size
        projection = torch.empty(config.num_codebooks, num_features, config.codebook_dim)
        for matrix in projection:
            nn.init.xavier_uniform_(matrix)
        codebook = torch.randn(config.num_codebooks, config.codebook_size, config.codebook_dim)
        # Buffers: they are never trained, and a checkpoint must keep them, or its labels would change.
        self.register_buffer("projection_QFC", projection)
        self.register_buffer("codebook_QVC", F.normalize(codebook, dim=-1))
        self.classifier = nn.Linear(width, config.num_codebooks * config.codebook_size)

    def labels(self, features_MF: torch.Tensor) -> torch.Tensor:
        """Nearest codes (M, Q) of normalised features, by cosine, as both sides have norm one."""
        with torch.autocast(features_MF.device.type, enabled=False):
            projected_QMC = F.normalize(features_MF.float() @ self.projection_QFC, dim=-1)
            return (projected_QMC @ self.codebook_QVC.transpose(1, 2)).argmax(-1).T

    def loss(self, batch: MaskedBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean cross-entropy on the hidden frames."""
        label_MQ = self.labels(batch.features_BTF[batch.hidden_BT])
        loss_Q, figures = classify(self.classifier(batch.states[-1][batch.hidden_BT]), label_MQ, self.codebook_size)
        return loss_Q.mean(), figures

    def after_step(self, encoder: nn.Module) -> None:
        """Nothing follows the encoder."""
