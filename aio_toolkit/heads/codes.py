"""Audio as codec codes: one query per target, residual codebooks from coarse to fine."""

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.heads.base import HeadLoss
from aio_toolkit.tasks import get_task


class CodesHead(nn.Module):
    """Predicts the codes of every target of every audio task.

    Codebook q sees the backbone's frame and, as context, the codec's embeddings of the chosen codes 0 ... q-1.
    In training the context is the true codes for half of the sources and absent for the others, so that one
    classifier learns both the conditional distribution, which `argmax` decoding needs, and the marginal, whose
    expectation is `soft` decoding.
    """

    @dataclass
    class Config:
        """Size and loss of the codes head.

        Attributes:
            hidden: width of each target's own layer.
            codebook_decay: the weight of codebook q in the loss is `codebook_decay ** q`.
            latent_weight: weight of the squared error of the expected latent, which is what `soft` decodes.
        """

        hidden: int = 256
        codebook_decay: float = 0.8
        latent_weight: float = 1.0

    def __init__(self, config: Config, width: int, embedding_QVC: torch.Tensor, tasks: list[str]):
        """`embedding_QVC` holds the codec's vector of every code; their sum over Q is the codec's latent."""
        super().__init__()
        Q, V, C = embedding_QVC.shape
        self.tasks = {task: get_task(task) for task in tasks}
        self.queries = nn.ModuleDict(
            {f"{t.name}_{target}": nn.Linear(width, config.hidden) for t in self.tasks.values() for target in t.sources}
        )
        self.norm = nn.LayerNorm(config.hidden)
        self.mlp = nn.Sequential(
            nn.Linear(config.hidden, 2 * config.hidden), nn.GELU(), nn.Linear(2 * config.hidden, config.hidden)
        )
        self.context = nn.ModuleList(nn.Linear(C, config.hidden, bias=False) for _ in range(Q - 1))
        self.classifiers = nn.ModuleList(nn.Linear(config.hidden, V) for _ in range(Q))
        self.register_buffer("embedding_QVC", embedding_QVC.clone())
        self.latent_weight = config.latent_weight
        weight_Q = config.codebook_decay ** torch.arange(Q).float()
        self.register_buffer("codebook_weight_Q", weight_Q / weight_Q.sum())

    def loss(self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, target_BNTQ: torch.Tensor, task: str) -> HeadLoss:
        """Cross-entropy over codebooks and frames, under the best permutation where the task asks for it."""
        target_BNTQ = target_BNTQ.clamp_min(0)
        valid_BT = valid_frames(lengths_B, h_BTD.shape[1])
        g_BNTD = self.split(h_BTD, task)
        if self.tasks[task].match == "permutation":
            coarse_BNTV = self.classifiers[0](g_BNTD)
            target_BNTQ = align(coarse_BNTV, target_BNTQ, valid_BT)
        # Only the real frames are classified: the classifiers are the costliest layers of the head.
        frames_BNT = valid_BT[:, None].expand(g_BNTD.shape[:3])
        told_BN = torch.rand(g_BNTD.shape[:2], device=g_BNTD.device) < 0.5
        told_M = told_BN[..., None].expand_as(frames_BNT)[frames_BNT]
        return self._classify(g_BNTD[frames_BNT], target_BNTQ[frames_BNT], told_M)

    def _classify(self, g_MD: torch.Tensor, code_MQ: torch.Tensor, told_M: torch.Tensor) -> HeadLoss:
        losses, figures, state_MD = [], {}, g_MD
        # Expected less true latent; the expectation is a marginal one, so it is taken where no code is told.
        error_MC = 0.0
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                previous_MC = self.embedding_QVC[q - 1][code_MQ[:, q - 1]] * told_M[:, None]
                state_MD = state_MD + self.context[q - 1](previous_MC)
            logit_MV = classifier(state_MD).float()
            expected_MC = logit_MV[~told_M].softmax(-1) @ self.embedding_QVC[q]
            error_MC = error_MC + expected_MC - self.embedding_QVC[q][code_MQ[~told_M, q]]
            losses.append(F.cross_entropy(logit_MV, code_MQ[:, q]))
            figures[f"accuracy_q{q}"] = (logit_MV.detach().argmax(-1) == code_MQ[:, q]).float().mean()
        codes = (torch.stack(losses) * self.codebook_weight_Q).sum()
        # A sum over rows that may be none, as when every source of a tiny batch is told.
        latent = error_MC.square().sum() / max(1, error_MC.numel())
        figures |= {"codes": codes.detach(), "latent": latent.detach()}
        return HeadLoss(codes + self.latent_weight * latent, figures)

    def split(self, h_BTD: torch.Tensor, task: str) -> torch.Tensor:
        """Frames (B, N, T, D') of each target of `task`."""
        g_BNTD = torch.stack([self.queries[f"{task}_{target}"](h_BTD) for target in self.tasks[task].sources], 1)
        return g_BNTD + self.mlp(self.norm(g_BNTD))

    def argmax_codes(self, h_BTD: torch.Tensor, task: str) -> torch.Tensor:
        """Most likely codes (B, N, T, Q), each codebook given the choices before it."""
        state, codes = self.split(h_BTD, task), []
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                state = state + self.context[q - 1](self.embedding_QVC[q - 1][codes[-1]])
            codes.append(classifier(state).argmax(-1))
        return torch.stack(codes, -1)

    def soft_latents(self, h_BTD: torch.Tensor, task: str) -> torch.Tensor:
        """Expected latent (B, N, T, C) under the marginal distribution of every codebook."""
        g_BNTD = self.split(h_BTD, task)
        return sum(
            classifier(g_BNTD).float().softmax(-1) @ self.embedding_QVC[q]
            for q, classifier in enumerate(self.classifiers)
        )


def align(coarse_BNTV: torch.Tensor, target_BNTQ: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """Reorder the targets so that the coarsest codebook's cross-entropy is least (Yu et al. 2017, PIT).

    Args:
        coarse_BNTV: logits of codebook 0 for each of the N estimates.
        target_BNTQ: true codes in the data's order.
        valid_BT: real frames.

    Returns:
        The targets (B, N, T, Q) in the order of the estimates.
    """
    B, N = target_BNTQ.shape[:2]
    with torch.no_grad():
        log_prob_BNTV = coarse_BNTV.float().log_softmax(-1)
        coarse_BNT = target_BNTQ[..., 0]
        cost_BNN = torch.stack(
            [
                -(
                    log_prob_BNTV.gather(-1, coarse_BNT[:, m, None, :, None].expand(B, N, -1, 1))[..., 0]
                    * valid_BT[:, None]
                ).sum(-1)
                for m in range(N)
            ],
            dim=-1,
        )
        orders_PN = torch.tensor(list(itertools.permutations(range(N))), device=cost_BNN.device)
        cost_BP = cost_BNN[:, torch.arange(N, device=cost_BNN.device), orders_PN].sum(-1)
        order_BN = orders_PN[cost_BP.argmin(1)]
        return target_BNTQ[torch.arange(B, device=order_BN.device)[:, None], order_BN]
