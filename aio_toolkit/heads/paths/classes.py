"""Codes as classes, residual codebooks from coarse to fine.

Letters: see `heads.paths.base`; M real frames of all sources and rows.
"""

from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.heads.paths.base import CodePath, References, SourceFrames
from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded

# Probability that a source is told its true coarser codes in a training step.
TOLD = 0.5


class ClassPath(CodePath):
    """A classifier for each codebook.

    Codebook q sees the source's frame and, as context, the codec's embeddings of the chosen codes
    0 ... q-1. In training the context is the true codes for half of the sources and absent for the
    others, so that one classifier learns both the conditional distribution, which `argmax` decoding
    needs, and the marginal, whose expectation is `soft` decoding.

    Attributes:
        num_codebooks: codebooks that are predicted.

    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 3, 16, 4)
    >>> units = CodecUnits(codec, torch.randn(3, 16, 4), torch.zeros(3, dtype=torch.long))
    >>> path = ClassPath(ClassPath.Config(num_codebooks=2), 8, units)
    >>> waves = torch.zeros(1, 1600), torch.tensor([1600])
    >>> sources = SourceFrames(torch.randn(1, 2, 5, 8), torch.tensor([5]), *waves)
    >>> path.argmax_codes(sources).shape, path.soft_latents(sources).shape
    (torch.Size([1, 2, 5, 2]), torch.Size([1, 2, 5, 4]))
    >>> references = References(torch.zeros(1, 2, 1600), torch.randint(16, (1, 2, 5, 3)))
    >>> sorted(path.loss(sources, references).figures)
    ['accuracy_q0', 'accuracy_q1', 'codes']
    """

    modes = ("argmax", "soft")
    learns_from_codes = True
    embedding_QVC: torch.Tensor
    codebook_weight_Q: torch.Tensor

    @dataclass
    class Config(CodePath.Config):
        """Options of the class path.

        Attributes:
            weight: weight of the classes' cross-entropy; 0 leaves the path out.
            num_codebooks: how many leading codebooks are predicted; all by default.
            codebook_decay: the weight of codebook q is `codebook_decay ** q`, before weights are
                divided by their sum.
        """

        num_codebooks: int | None = bounded(None, least=1)
        codebook_decay: float = bounded(0.8, above=0, most=1)

    def __init__(self, config: Config, width: int, units: CodecUnits):
        super().__init__(config, width, units)
        Q, V, C = units.embedding_QVC.shape
        self.num_codebooks = min(config.num_codebooks or Q, Q)
        self.context = nn.ModuleList()
        # The first codebook has nothing before it.
        for _ in range(self.num_codebooks - 1):
            self.context.append(nn.Linear(C, width, bias=False))
        self.classifiers = nn.ModuleList()
        for _ in range(self.num_codebooks):
            self.classifiers.append(nn.Linear(width, V))

        embedding_QVC = units.embedding_QVC.clone()
        # A checkpoint has them among the units.
        self.register_buffer("embedding_QVC", embedding_QVC, persistent=False)
        place_Q = torch.arange(self.num_codebooks).float()
        weight_Q = config.codebook_decay**place_Q
        # Divided by their sum, so that the learning rate may stay when codebooks are added.
        weight_Q = weight_Q / weight_Q.sum()
        self.register_buffer("codebook_weight_Q", weight_Q)

    @override
    @torch.no_grad()
    def costs(self, sources: SourceFrames, references: References) -> torch.Tensor:
        """Weighted cross-entropy of the marginal distributions, summed over frames."""
        target_BNTQ = references.codes()
        B, N = target_BNTQ.shape[:2]
        valid_B1T1 = sources.valid_BT[:, None, :, None]
        cost_BNM = sources.g_BNTD.new_zeros(B, N, N)
        for q, classifier in enumerate(self.classifiers):
            logit_BNTV = classifier(sources.g_BNTD).float()
            log_prob_BNTV = logit_BNTV.log_softmax(-1)
            log_prob_BNTV = log_prob_BNTV * valid_B1T1

            # Every estimate's probabilities of every target's codes.
            code_BMT = target_BNTQ[..., q]
            code_B1TM = code_BMT.transpose(1, 2)[:, None]
            index_BNTM = code_B1TM.expand(-1, N, -1, -1)
            found_BNTM = log_prob_BNTV.gather(3, index_BNTM)
            found_BNM = found_BNTM.sum(2)
            cost_BNM = cost_BNM - self.codebook_weight_Q[q] * found_BNM
        return cost_BNM

    @override
    def loss(self, sources: SourceFrames, references: References) -> Loss:
        """Cross-entropy of the real frames' codes, weighted over codebooks.

        Rows have a loss of their own in evaluation alone, as it takes another pass over the logits.
        """
        target_BNTQ = references.codes()
        # Only the real frames are classified: the classifiers are the costliest layers of the head.
        valid_B1T = sources.valid_BT[:, None]
        real_BNT = valid_B1T.expand(-1, sources.num_sources, -1)
        told_M1 = _draw_told(real_BNT)[:, None]
        state_MD = sources.g_BNTD[real_BNT]
        codes = target_BNTQ[real_BNT].unbind(1)

        losses, figures = [], {}
        rows = _RowLosses(real_BNT)
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                previous_MC = self.embedding_QVC[q - 1][codes[q - 1]]
                # Who is told nothing gets zeros, as there is no context at all.
                previous_MC = previous_MC * told_M1
                context = self.context[q - 1]
                state_MD = state_MD + context(previous_MC)
            logit_MV = classifier(state_MD).float()
            loss = F.cross_entropy(logit_MV, codes[q])
            losses.append(loss)

            hit_M = logit_MV.detach().argmax(-1) == codes[q]
            figures[f"accuracy_q{q}"] = hit_M.float().mean()
            if not self.training:
                rows.add(logit_MV, codes[q], self.codebook_weight_Q[q])

        weighted_Q = torch.stack(losses) * self.codebook_weight_Q
        total = weighted_Q.sum()
        figures["codes"] = total.detach()
        rows_B = None if self.training else rows.mean_B()
        return Loss(total, figures, rows_B)

    @override
    def outputs(
        self, sources: SourceFrames, codec: Codec | None, mode: str
    ) -> dict[str, torch.Tensor]:
        """Waves of the most likely codes, or of the latents that are expected."""
        if codec is None:
            return {}
        if mode == "argmax":
            codes_BNTQ = self.argmax_codes(sources)
            waves_MS = codec.decode(codes_BNTQ.flatten(0, 1))
        else:
            latents_BNTC = self.soft_latents(sources)
            waves_MS = codec.decode_latents(latents_BNTC.flatten(0, 1))
        return {"codec": waves_MS.unflatten(0, sources.g_BNTD.shape[:2])}

    def argmax_codes(self, sources: SourceFrames) -> torch.Tensor:
        """Most likely codes (B, N, T, Q), each codebook given the choices before it."""
        state_BNTD = sources.g_BNTD
        codes: list[torch.Tensor] = []
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                # What was chosen stands for the true codes of training.
                previous_BNTC = self.embedding_QVC[q - 1][codes[-1]]
                context = self.context[q - 1]
                state_BNTD = state_BNTD + context(previous_BNTC)
            logit_BNTV = classifier(state_BNTD)
            code_BNT = logit_BNTV.argmax(-1)
            codes.append(code_BNT)
        return torch.stack(codes, -1)

    def soft_latents(self, sources: SourceFrames) -> torch.Tensor:
        """Expected latent (B, N, T, C) under the marginal distribution of every codebook."""
        latents = []
        for q, classifier in enumerate(self.classifiers):
            # Without context: an expectation has no choices before it.
            logit_BNTV = classifier(sources.g_BNTD).float()
            probability_BNTV = logit_BNTV.softmax(-1)
            latent_BNTC = probability_BNTV @ self.embedding_QVC[q]
            latents.append(latent_BNTC)
        return sum(latents)


def _draw_told(real_BNT: torch.Tensor) -> torch.Tensor:
    """Which real frames (M,) know the true codes: all of a source, or none."""
    chance_BN = torch.rand(real_BNT.shape[:2], device=real_BNT.device)
    told_BN = chance_BN < TOLD
    told_BNT = told_BN[..., None].expand_as(real_BNT)
    return told_BNT[real_BNT]


class _RowLosses:
    """Adds up the losses of frames by the rows of the batch that they are of."""

    def __init__(self, real_BNT: torch.Tensor):
        B = len(real_BNT)
        device = real_BNT.device
        row_B = torch.arange(B, device=device)
        row_BNT = row_B[:, None, None].expand_as(real_BNT)
        self.row_M = row_BNT[real_BNT]
        self.frames_B = real_BNT.sum((1, 2))
        self.sum_B = torch.zeros(B, device=device)

    @torch.no_grad()
    def add(self, logit_MV: torch.Tensor, code_M: torch.Tensor, weight: torch.Tensor) -> None:
        """Add the weighted cross-entropy of one codebook."""
        loss_M = F.cross_entropy(logit_MV, code_M, reduction="none")
        self.sum_B.index_add_(0, self.row_M, weight * loss_M)

    def mean_B(self) -> torch.Tensor:
        """Mean over a row's frames and sources."""
        return self.sum_B / self.frames_B
