"""BEST-RQ (Chiu et al. 2022): labels from a random quantizer that is never trained."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded
from aio_toolkit.ssl._figures import classify
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch, Objective, TargetSizes


class BestRq(Objective):
    """Predict which code of a random codebook is nearest to a masked frame's random projection.

    Quantizer and loss are the paper's: Xavier-uniform projection, normal codebook, both sides
    brought to norm one, cross-entropy. Several codebooks with projections of their own steady the
    labels (Zhang et al. 2023, USM, "multi-softmax"). Two things are ours: masked frames are
    replaced by a learned vector where the paper puts noise into the features, and each frame of the
    front end has labels of its own where the paper stacks four. The codec's codes are not used.

    >>> sizes = BestRq.Config(num_codebooks=1, codebook_size=16, codebook_dim=4)
    >>> objective = BestRq(sizes, FeatureEncoder(8), TargetSizes(6, 2, 16))
    >>> masked_BT = torch.tensor([[False, True, True]])
    >>> feats_BTF, states = torch.randn(1, 3, 6), [torch.randn(1, 3, 8)]
    >>> batch = MaskedBatch(feats_BTF, feats_BTF, None, torch.ones(1, 3) > 0, masked_BT, states)
    >>> sorted(objective.loss(batch).figures)
    ['accuracy_q0', 'label_usage', 'perplexity_q0']
    """

    projection_QFC: torch.Tensor
    codebook_QVC: torch.Tensor

    @dataclass
    class Config:
        """Size of the random quantizer.

        Attributes:
            num_codebooks: codebooks Q.
            codebook_size: codes V in each.
            codebook_dim: channels C that features are projected to.
        """

        num_codebooks: int = bounded(4, least=1)
        codebook_size: int = bounded(1024, least=2)
        codebook_dim: int = bounded(16, least=1)

    def __init__(self, config: Config, encoder: FeatureEncoder, sizes: TargetSizes):
        super().__init__(config, encoder, sizes)
        self.codebook_size = config.codebook_size
        Q, V, C = config.num_codebooks, config.codebook_size, config.codebook_dim
        projection_QFC = torch.empty(Q, sizes.num_features, C)
        for projection_FC in projection_QFC:
            nn.init.xavier_uniform_(projection_FC)
        codebook_QVC = torch.randn(Q, V, C)
        # Buffers: they are never trained, but a checkpoint without them would change the labels.
        self.register_buffer("projection_QFC", projection_QFC)
        self.register_buffer("codebook_QVC", F.normalize(codebook_QVC, dim=-1))
        self.classifier = nn.Linear(encoder.width, Q * V)

    def labels(self, features_MF: torch.Tensor) -> torch.Tensor:
        """Nearest codes (M, Q) of normalised features, by cosine, as both sides have norm one."""
        # Rounded to bfloat16, near codes would change places.
        with torch.autocast(features_MF.device.type, enabled=False):
            projected_QMC = features_MF.float() @ self.projection_QFC
            unit_QMC = F.normalize(projected_QMC, dim=-1)
            codebook_QCV = self.codebook_QVC.transpose(1, 2)
            label_QM = (unit_QMC @ codebook_QCV).argmax(-1)
            return label_QM.T

    def loss(self, batch: MaskedBatch) -> Loss:
        """Cross-entropy, mean over codebooks; accuracy and perplexity of each."""
        label_MQ = self.labels(batch.features_MF)
        logit_MX = self.classifier(batch.state_MD)
        loss_Q, figures = classify(logit_MX, label_MQ, self.codebook_size)
        return Loss(loss_Q.mean(), figures)
