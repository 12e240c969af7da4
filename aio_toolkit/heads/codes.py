"""Audio as codec codes: one query per target, residual codebooks from coarse to fine, and the latent behind them.

Besides the letters of `heads.base`: C codec latent channels, M rows (frames of all targets).
"""

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.heads.base import HeadLoss
from aio_toolkit.tasks import get_task

# Energy, as a share of the mixture's, below which a target is as good as silent.
FLOOR = 1e-2


class CodesHead(nn.Module):
    """Predicts the codes of every target of every audio task, in two ways.

    As classes: codebook q sees the backbone's frame and, as context, the codec's embeddings of the chosen codes
    0 ... q-1. In training the context is the true codes for half of the sources and absent for the others, so that
    one classifier learns both the conditional distribution, which `argmax` decoding needs, and the marginal, whose
    expectation is `soft` decoding.

    As a latent, which the codec's quantizer turns into codes: a mask on the mixture's latent plus a remainder. It
    knows how near two codes are, which classes do not, and what it leaves alone of the mixture keeps its phase.
    """

    @dataclass
    class Config:
        """Size and loss of the codes head.

        Attributes:
            hidden: width of each target's own layer.
            num_codebooks: how many leading codebooks are predicted as classes; all by default.
            codebook_decay: the weight of codebook q in the loss is `codebook_decay ** q`.
            codes_weight: weight of the classes' cross-entropy.
            latent_weight: weight of the latent's log error.
        """

        hidden: int = 256
        num_codebooks: int | None = None
        codebook_decay: float = 0.8
        codes_weight: float = 1.0
        latent_weight: float = 1.0

    def __init__(self, config: Config, width: int, embedding_QVC: torch.Tensor, tasks: list[str]):
        """`embedding_QVC` holds the codec's vector of every code; their sum over Q is the codec's latent."""
        super().__init__()
        Q, V, C = embedding_QVC.shape
        self.num_codebooks = min(config.num_codebooks or Q, Q)
        self.tasks = {task: get_task(task) for task in tasks}
        names = [name for task in tasks for name in self._query_names(task)]
        self.queries = nn.ModuleDict({name: nn.Linear(width, config.hidden) for name in names})
        self.norm = nn.LayerNorm(config.hidden)
        self.mlp = nn.Sequential(
            nn.Linear(config.hidden, 2 * config.hidden), nn.GELU(), nn.Linear(2 * config.hidden, config.hidden)
        )
        self.context = nn.ModuleList(nn.Linear(C, config.hidden, bias=False) for _ in range(self.num_codebooks - 1))
        self.classifiers = nn.ModuleList(nn.Linear(config.hidden, V) for _ in range(self.num_codebooks))
        self.latent_norm = nn.LayerNorm(config.hidden)
        self.latent = nn.Linear(config.hidden, 2 * C)
        # The mixture, evenly shared, is where the estimates start.
        nn.init.zeros_(self.latent.weight)
        nn.init.zeros_(self.latent.bias)
        self.register_buffer("embedding_QVC", embedding_QVC.clone())
        self.codes_weight, self.latent_weight = config.codes_weight, config.latent_weight
        weight_Q = config.codebook_decay ** torch.arange(self.num_codebooks).float()
        self.register_buffer("codebook_weight_Q", weight_Q / weight_Q.sum())

    def keep(self, task: str) -> None:
        """Throw away what only other tasks use."""
        self.tasks = {task: self.tasks[task]}
        self.queries = nn.ModuleDict({name: self.queries[name] for name in self._query_names(task)})

    def add_task(self, task: str) -> list[nn.Parameter]:
        """Make room for one more task; return what is its alone."""
        first = next(iter(self.queries.values()))
        self.tasks[task] = get_task(task)
        self.queries.update({n: nn.Linear(first.in_features, first.out_features) for n in self._query_names(task)})
        return [parameter for name in self._query_names(task) for parameter in self.queries[name].parameters()]

    def _query_names(self, task: str) -> list[str]:
        return [f"{task}_{target}" for target in self.tasks[task].sources]

    def loss(
        self,
        h_BTD: torch.Tensor,
        lengths_B: torch.Tensor,
        target_BNTQ: torch.Tensor,
        task: str,
        mixture_BTC: torch.Tensor,
    ) -> HeadLoss:
        """Loss of classes and latents, under the best permutation where the task asks for it."""
        target_BNTQ = target_BNTQ.clamp_min(0)
        valid_BT = valid_frames(lengths_B, h_BTD.shape[1])
        g_BNTD = self.split(h_BTD, task)
        estimate_BNTC = self._latents(g_BNTD, mixture_BTC) * valid_BT[:, None, :, None]
        true_BNTC = self.embed(target_BNTQ) * valid_BT[:, None, :, None]
        if self.tasks[task].match == "permutation":
            order_BN = best_order(latent_errors(estimate_BNTC.detach(), true_BNTC))
            row_B1 = torch.arange(len(order_BN), device=order_BN.device)[:, None]
            target_BNTQ, true_BNTC = target_BNTQ[row_B1, order_BN], true_BNTC[row_B1, order_BN]
        latent, figures = self._latent_loss(estimate_BNTC, true_BNTC, mixture_BTC * valid_BT[..., None])
        # Only the real frames are classified: the classifiers are the costliest layers of the head.
        frames_BNT = valid_BT[:, None].expand(g_BNTD.shape[:3])
        told_BN = torch.rand(g_BNTD.shape[:2], device=g_BNTD.device) < 0.5
        told_M = told_BN[..., None].expand_as(frames_BNT)[frames_BNT]
        codes, code_figures = self._codes_loss(g_BNTD[frames_BNT], target_BNTQ[frames_BNT], told_M)
        return HeadLoss(self.codes_weight * codes + self.latent_weight * latent, figures | code_figures)

    def _latent_loss(
        self, estimate_BNTC: torch.Tensor, true_BNTC: torch.Tensor, mixture_BTC: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean log of error over energy: the negative SNR of the latents, which follows that of the waves."""
        floor_B1 = FLOOR * mixture_BTC.square().sum((1, 2))[:, None] + 1e-6
        error_BN = (estimate_BNTC - true_BNTC).square().sum((2, 3)) + floor_B1
        energy_BN = true_BNTC.square().sum((2, 3)) + floor_B1
        log_ratio = (error_BN / energy_BN).log().mean()
        return log_ratio, {"latent_snr": -10 * log_ratio.detach() / torch.tensor(10.0).log().item()}

    def _codes_loss(
        self, g_MD: torch.Tensor, code_MQ: torch.Tensor, told_M: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        losses, figures, state_MD = [], {}, g_MD
        for q, classifier in enumerate(self.classifiers):
            if q > 0:
                previous_MC = self.embedding_QVC[q - 1][code_MQ[:, q - 1]] * told_M[:, None]
                state_MD = state_MD + self.context[q - 1](previous_MC)
            logit_MV = classifier(state_MD).float()
            losses.append(F.cross_entropy(logit_MV, code_MQ[:, q]))
            figures[f"accuracy_q{q}"] = (logit_MV.detach().argmax(-1) == code_MQ[:, q]).float().mean()
        codes = (torch.stack(losses) * self.codebook_weight_Q).sum()
        return codes, figures | {"codes": codes.detach()}

    def embed(self, code_BNTQ: torch.Tensor) -> torch.Tensor:
        """The codec's latents (B, N, T, C) of codes."""
        return sum(F.embedding(code_BNTQ[..., q], self.embedding_QVC[q]) for q in range(code_BNTQ.shape[-1]))

    def latents(self, h_BTD: torch.Tensor, task: str, mixture_BTC: torch.Tensor) -> torch.Tensor:
        """Estimated latents (B, N, T, C) of each target."""
        return self._latents(self.split(h_BTD, task), mixture_BTC)

    def _latents(self, g_BNTD: torch.Tensor, mixture_BTC: torch.Tensor) -> torch.Tensor:
        mask_BNTC, rest_BNTC = self.latent(self.latent_norm(g_BNTD)).float().chunk(2, dim=-1)
        return (mask_BNTC + 1 / g_BNTD.shape[1]) * mixture_BTC[:, None] + rest_BNTC

    def split(self, h_BTD: torch.Tensor, task: str) -> torch.Tensor:
        """Frames (B, N, T, D') of each target of `task`."""
        g_BNTD = torch.stack([self.queries[name](h_BTD) for name in self._query_names(task)], 1)
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


def latent_errors(estimate_BNTC: torch.Tensor, true_BMTC: torch.Tensor) -> torch.Tensor:
    """Squared error (B, N, M) of every estimate against every target, summed over frames and channels."""
    return torch.cdist(estimate_BNTC.flatten(2), true_BMTC.flatten(2)).square()


def best_order(cost_BNN: torch.Tensor) -> torch.Tensor:
    """For each estimate the target (B, N) it is to meet, at the least total cost (PIT, Yu et al. 2017).

    Args:
        cost_BNN: cost of estimate n (first) for target m (second).
    """
    N = cost_BNN.shape[1]
    orders_PN = torch.tensor(list(itertools.permutations(range(N))), device=cost_BNN.device)
    cost_BP = cost_BNN[:, torch.arange(N, device=cost_BNN.device), orders_PN].sum(-1)
    return orders_PN[cost_BP.argmin(1)]
