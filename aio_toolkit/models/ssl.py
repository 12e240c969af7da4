"""The self-supervised encoder: trained in stage 3, frozen ever after.

Letters: B batch, T frames, F feature bins of the front end, D model width, Q codebooks.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from aio_toolkit.encoders.base import EncoderConfig, valid_frames
from aio_toolkit.encoders.build import build_encoder
from aio_toolkit.encoders.stem import Stem
from aio_toolkit.ssl.base import MaskedBatch
from aio_toolkit.ssl.build import ObjectiveConfig, build_objective
from aio_toolkit.ssl.contrastive import spread
from aio_toolkit.ssl.masking import SpanMasking


class SslEncoder(nn.Module):
    """Normalised features, the stem that brings them to the model's width, and the encoder."""

    def __init__(self, config: EncoderConfig, num_features: int):
        super().__init__()
        self.register_buffer("mean_F", torch.zeros(num_features))
        self.register_buffer("std_F", torch.ones(num_features))
        self.stem = Stem(num_features, config.width, config.stem_kernel)
        self.encoder = build_encoder(config)

    def normalise(self, feats_BTF: torch.Tensor) -> torch.Tensor:
        """Zero mean and unit variance over the training data, bin by bin."""
        return (feats_BTF - self.mean_F) / self.std_F

    def forward(self, normalised_BTF: torch.Tensor, lengths_B: torch.Tensor) -> list[torch.Tensor]:
        """Hidden states (B, T, D) of every layer, from normalised features."""
        valid_BT = valid_frames(lengths_B, normalised_BTF.shape[1])
        return self.encoder(self.stem(normalised_BTF, valid_BT), valid_BT)


class SslModel(nn.Module):
    """Encoder and objective together: what stage 3 trains."""

    @dataclass
    class Config:
        """Encoder and objective of stage 3."""

        encoder: EncoderConfig = field(default_factory=EncoderConfig)
        objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def __init__(self, config: Config, num_features: int, num_codebooks: int, codebook_size: int):
        super().__init__()
        self.ssl_encoder = SslEncoder(config.encoder, num_features)
        self.masking = SpanMasking(config.encoder.width, config.objective.mask_share, config.objective.span)
        self.objective = build_objective(config.objective, self.ssl_encoder, num_codebooks, codebook_size)

    def forward(
        self, feats_BTF: torch.Tensor, lengths_B: torch.Tensor, codes_BTQ: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and figures on one batch; which frames are hidden is drawn anew at each call.

        The figure `embedding_std` is near one where frames differ and near zero where the encoder has collapsed.
        """
        valid_BT = valid_frames(lengths_B, feats_BTF.shape[1])
        features_BTF = self.ssl_encoder.normalise(feats_BTF)
        x_BTD, hidden_BT = self.masking(self.ssl_encoder.stem(features_BTF, valid_BT), valid_BT)
        states = self.ssl_encoder.encoder(x_BTD, valid_BT)
        loss, figures = self.objective.loss(MaskedBatch(features_BTF, codes_BTQ, valid_BT, hidden_BT, states))
        return loss, figures | {"embedding_std": spread(states[-1].detach()[valid_BT])}
