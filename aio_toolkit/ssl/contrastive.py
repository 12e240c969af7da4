"""Contrastive prediction (wav2vec 2.0, Baevski et al. 2020, Eq. 3), with continuous instead of quantised targets."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.ssl.base import MaskedBatch


class Contrastive(nn.Module):
    """Tell the hidden frame's own features from those of other hidden frames.

    Implements `ssl.base.Objective`.
    """

    @dataclass
    class Config:
        """InfoNCE.

        Attributes:
            dim: width in which frames are compared.
            num_distractors: other frames of the utterance that each is compared with. What the whole utterance has in
                common, such as its speaker, does not help to tell them apart.
            cross_distractors: frames of any utterance of the batch that it is compared with besides. These it helps.
            temperature: what cosines are divided by.
        """

        dim: int = 128
        num_distractors: int = 50
        cross_distractors: int = 0
        temperature: float = 0.1

    def __init__(self, config: Config, width: int, num_features: int):
        super().__init__()
        self.config = config
        self.context = nn.Linear(width, config.dim)
        self.target = nn.Linear(num_features, config.dim)

    def loss(self, batch: MaskedBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """InfoNCE over the hidden frames, its accuracy, and how much targets differ."""
        context_MC = F.normalize(self.context(batch.states[-1][batch.hidden_BT]).float(), dim=-1)
        target_MC = F.normalize(self.target(batch.features_BTF[batch.hidden_BT]).float(), dim=-1)
        other_MN, exists_M = draw_distractors(
            batch.hidden_BT, self.config.num_distractors, self.config.cross_distractors
        )
        candidates_MXC = torch.cat([target_MC[:, None], target_MC[other_MN]], dim=1)
        logit_MX = (candidates_MXC @ context_MC[..., None])[..., 0] / self.config.temperature
        logit_MX = logit_MX[exists_M]
        if not len(logit_MX):
            # Every row hides a single frame: nothing to compare with, and a gradient of zero.
            return context_MC.sum() * 0, {}
        loss = F.cross_entropy(logit_MX, torch.zeros(len(logit_MX), dtype=torch.long, device=logit_MX.device))
        # A distractor that equals the target, as in silence, is no miss.
        better_M = (logit_MX[:, 1:] > logit_MX[:, :1]).any(1)
        return loss, {"accuracy": 1 - better_M.float().mean(), "target_std": spread(target_MC.detach())}

    def after_step(self, encoder: nn.Module) -> None:
        """Nothing follows the encoder."""


def draw_distractors(hidden_BT: torch.Tensor, count: int, cross: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """For each hidden frame `count` others of its row and `cross` others of any row, with replacement.

    Returns:
        Their indices (M, count + cross) among the hidden frames of the batch, in row-major order, and whether (M,) the
        frame has any other in its row.
    """
    size_B = hidden_BT.sum(1)
    size_M = size_B.repeat_interleave(size_B)
    start_M = (size_B.cumsum(0) - size_B).repeat_interleave(size_B)
    total_M = torch.full_like(size_M, len(size_M))
    place_M = torch.arange(len(size_M), device=size_M.device)
    own_MN = start_M[:, None] + _draw_others(place_M - start_M, size_M, count)
    return torch.cat([own_MN, _draw_others(place_M, total_M, cross)], dim=1), size_M > 1


def _draw_others(place_M: torch.Tensor, size_M: torch.Tensor, count: int) -> torch.Tensor:
    """Draws (M, count) from 0 ... size - 1 without the own place; the own place where there is no other."""
    others_M1 = (size_M - 1).clamp_min(1)[:, None]
    drawn_MN = (torch.rand(len(size_M), count, device=size_M.device) * others_M1).long().clamp_max(others_M1 - 1)
    drawn_MN = drawn_MN + (drawn_MN >= place_M[:, None])
    return drawn_MN.clamp_max(size_M[:, None] - 1)


def spread(x_MC: torch.Tensor) -> torch.Tensor:
    """Standard deviation over M of vectors brought to norm sqrt(C), mean over C: 1 if they point anywhere, 0 if all
    point the same way."""
    unit_MC = F.normalize(x_MC.float(), dim=-1) * x_MC.shape[-1] ** 0.5
    return unit_MC.std(0, unbiased=False).mean()
