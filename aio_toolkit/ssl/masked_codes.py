"""Masked prediction of the codec's codes, after HuBERT and EnCodecMAE."""

from dataclasses import dataclass

import torch
from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded
from aio_toolkit.ssl._figures import classify
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch, Objective, TargetSizes


class MaskedCodes(Objective):
    """Predict the codec's codes of masked frames, with one linear classifier for each codebook.

    That codec codes are worth predicting is EnCodecMAE's finding (Pepino et al. 2023). The rest of
    it is not here: it removes masked frames from the encoder's input, adds a decoder that is told
    their places, and trains a second time on clusters of its own states. Here masked frames are
    replaced by a learned vector, the encoder itself predicts, and only masked frames count, as in
    HuBERT (Hsu et al. 2021), whose labels are clusters. Weights that fall from codebook to codebook
    are ours.

    >>> objective = MaskedCodes(MaskedCodes.Config(), FeatureEncoder(8), TargetSizes(6, 2, 16))
    >>> masked_BT = torch.tensor([[False, True, True]])
    >>> feats_BTF, states = torch.randn(1, 3, 6), [torch.randn(1, 3, 8)]
    >>> codes_BTQ, valid_BT = torch.randint(16, (1, 3, 2)), torch.ones(1, 3) > 0
    >>> batch = MaskedBatch(feats_BTF, feats_BTF, codes_BTQ, valid_BT, masked_BT, states)
    >>> figures = objective.loss(batch).figures
    >>> sorted(figures)[:3], figures["rows_without_codes"].item()
    (['accuracy_q0', 'accuracy_q1', 'label_usage'], 0.0)
    """

    reads_codes = True
    codebook_weight_Q: torch.Tensor

    @dataclass
    class Config:
        """Weights of the codebooks.

        Attributes:
            num_codebooks: how many leading codebooks are predicted; all by default.
            codebook_decay: the weight of codebook q is `codebook_decay ** q`, before weights are
                divided by their sum: coarse codes carry the content.
        """

        num_codebooks: int | None = bounded(None, least=1)
        codebook_decay: float = bounded(0.7, above=0, most=1)

    def __init__(self, config: Config, encoder: FeatureEncoder, sizes: TargetSizes):
        super().__init__(config, encoder, sizes)
        wanted = config.num_codebooks or sizes.num_codebooks
        self.num_codebooks = min(wanted, sizes.num_codebooks)
        self.codebook_size = sizes.codebook_size
        num_logits = self.num_codebooks * self.codebook_size
        self.classifier = nn.Linear(encoder.width, num_logits)
        place_Q = torch.arange(self.num_codebooks).float()
        weight_Q = config.codebook_decay**place_Q
        # Divided by their sum, so that the learning rate may stay when codebooks are added.
        self.register_buffer("codebook_weight_Q", weight_Q / weight_Q.sum())

    def loss(self, batch: MaskedBatch) -> Loss:
        """Weighted cross-entropy over codebooks; accuracy and perplexity of each.

        Mixtures made on the fly have no codes: their rows are left out, and counted.
        """
        label_MQ = batch.codes_MQ[:, : self.num_codebooks]
        known_M = label_MQ[:, 0] >= 0
        without = 1 - known_M.float().mean()
        logit_MX = self.classifier(batch.state_MD[known_M])
        if not known_M.any():
            return Loss(logit_MX.sum(), {"rows_without_codes": without})
        loss_Q, figures = classify(logit_MX, label_MQ[known_M], self.codebook_size)
        weighted_Q = loss_Q * self.codebook_weight_Q
        return Loss(weighted_Q.sum(), {**figures, "rows_without_codes": without})
