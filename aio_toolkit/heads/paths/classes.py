"""Codes as classes, residual codebooks from coarse to fine. Letters besides: M rows (frames of all
sources)."""

from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.heads.paths.base import CodePath, SourceFrames
from aio_toolkit.loss import Loss


class ClassPath(CodePath):
    """A classifier for each codebook.

    Codebook q sees the source's frame and, as context, the codec's embeddings of the chosen codes
    0 ... q-1. In training the context is the true codes for half of the sources and absent for the
    others, so that one classifier learns both the conditional distribution, which `argmax` decoding
    needs, and the marginal, whose expectation is `soft` decoding.
    """

    modes = ("argmax", "soft")

    @dataclass
    class Config(CodePath.Config):
        """Options of the class path.

        Attributes:
            weight: weight of the classes' cross-entropy; 0 leaves the path out.
            num_codebooks: how many leading codebooks are predicted; all by default.
            codebook_decay: the weight of codebook q in the loss is `codebook_decay ** q`.
        """

        num_codebooks: int | None = None
        codebook_decay: float = 0.8

    def __init__(self, config: Config, width: int, units: CodecUnits):
        super().__init__(config, width, units)
        Q, V, C = units.embedding_QVC.shape
        self.num_codebooks = min(config.num_codebooks or Q, Q)
        self.context = nn.ModuleList(
            nn.Linear(C, width, bias=False) for _ in range(self.num_codebooks - 1)
        )
        self.classifiers = nn.ModuleList(nn.Linear(width, V) for _ in range(self.num_codebooks))
        # A checkpoint has them among the units.
        self.register_buffer("embedding_QVC", units.embedding_QVC.clone(), persistent=False)
        weight_Q = config.codebook_decay ** torch.arange(self.num_codebooks).float()
        self.register_buffer("codebook_weight_Q", weight_Q / weight_Q.sum())

    @override
    def costs(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> torch.Tensor:
        """Weighted cross-entropy of the marginal distributions, summed over frames."""
        with torch.no_grad():
            cost_BNM = frames.g_BNTD.new_zeros(*target_BNTQ.shape[:2], target_BNTQ.shape[1])
            for q, classifier in enumerate(self.classifiers):
                log_prob_BNTV = classifier(frames.g_BNTD).float().log_softmax(-1)
                log_prob_BNTV = log_prob_BNTV * frames.valid_BT[:, None, :, None]
                code_BMT = target_BNTQ[..., q]
                index_BTM = code_BMT.transpose(1, 2)[:, None].expand(-1, code_BMT.shape[1], -1, -1)
                of_target_BNTM = log_prob_BNTV.gather(3, index_BTM)
                cost_BNM = cost_BNM - self.codebook_weight_Q[q] * of_target_BNTM.sum(2)
        return cost_BNM

    @override
    def loss(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> Loss:
        """Cross-entropy of the real frames' codes, weighted over codebooks."""
        # Only the real frames are classified: the classifiers are the costliest layers of the head.
        real_BNT = frames.valid_BT[:, None].expand(frames.g_BNTD.shape[:3])
        told_BN = torch.rand(real_BNT.shape[:2], device=real_BNT.device) < 0.5
        told_M = told_BN[..., None].expand_as(real_BNT)[real_BNT]
        state_MD, code_MQ = frames.g_BNTD[real_BNT], target_BNTQ[real_BNT]

        losses, figures = [], {}
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                previous_MC = self.embedding_QVC[q - 1][code_MQ[:, q - 1]] * told_M[:, None]
                state_MD = state_MD + self.context[q - 1](previous_MC)
            logit_MV = classifier(state_MD).float()
            losses.append(F.cross_entropy(logit_MV, code_MQ[:, q]))
            hit_M = logit_MV.detach().argmax(-1) == code_MQ[:, q]
            figures[f"accuracy_q{q}"] = hit_M.float().mean()
        total = (torch.stack(losses) * self.codebook_weight_Q).sum()
        return Loss(total, figures | {"codes": total.detach()})

    @override
    def waves(self, frames: SourceFrames, codec: Codec, mode: str) -> torch.Tensor:
        B, N = frames.g_BNTD.shape[:2]
        if mode == "argmax":
            waves_MS = codec.decode(self.argmax_codes(frames).flatten(0, 1))
        else:
            waves_MS = codec.decode_latents(self.soft_latents(frames).flatten(0, 1))
        return waves_MS.unflatten(0, (B, N))

    def argmax_codes(self, frames: SourceFrames) -> torch.Tensor:
        """Most likely codes (B, N, T, Q), each codebook given the choices before it."""
        state_BNTD, codes = frames.g_BNTD, []
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                previous_BNTC = self.embedding_QVC[q - 1][codes[-1]]
                state_BNTD = state_BNTD + self.context[q - 1](previous_BNTC)
            codes.append(classifier(state_BNTD).argmax(-1))
        return torch.stack(codes, -1)

    def soft_latents(self, frames: SourceFrames) -> torch.Tensor:
        """Expected latent (B, N, T, C) under the marginal distribution of every codebook."""
        latents = [
            classifier(frames.g_BNTD).float().softmax(-1) @ self.embedding_QVC[q]
            for q, classifier in enumerate(self.classifiers)
        ]
        return sum(latents)
