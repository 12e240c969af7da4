"""Self-distillation (data2vec 2.0, Baevski et al. 2023): predict what a slow copy of the encoder makes of the whole."""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.ssl.base import MaskedBatch
from aio_toolkit.ssl.contrastive import spread


class SelfDistillation(nn.Module):
    """The teacher sees all frames, the student those that are not hidden. Implements `ssl.base.Objective`."""

    @dataclass
    class Config:
        """Teacher.

        Attributes:
            decay: share of the teacher that stays at each step, at the start.
            end_decay: the same after `decay_steps`; it grows linearly in between.
            decay_steps: steps until then.
            top_layers: how many of the last layers are averaged for the target.
        """

        decay: float = 0.99
        end_decay: float = 0.999
        decay_steps: int = 1000
        top_layers: int = 2

    def __init__(self, config: Config, encoder: nn.Module):
        super().__init__()
        self.config = config
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.predict = nn.Linear(encoder.encoder.width, encoder.encoder.width)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def target(self, batch: MaskedBatch) -> torch.Tensor:
        """Mean (B, T, D) of the teacher's last layers, each normalised over the frames of an utterance."""
        self.teacher.eval()
        states = self.teacher(batch.features_BTF, batch.valid_BT.sum(1))[-self.config.top_layers :]
        return torch.stack([normalise_over_time(state.float(), batch.valid_BT) for state in states]).mean(0)

    def loss(self, batch: MaskedBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean squared error on the hidden frames, and how much target and prediction vary."""
        target_MD = self.target(batch)[batch.hidden_BT]
        predicted_MD = self.predict(batch.states[-1][batch.hidden_BT]).float()
        figures = {"target_std": spread(target_MD), "prediction_std": spread(predicted_MD.detach())}
        return F.mse_loss(predicted_MD, target_MD), figures

    @torch.no_grad()
    def after_step(self, encoder: nn.Module) -> None:
        """Move the teacher a little towards the encoder."""
        config = self.config
        share = min(1.0, self.steps.item() / max(1, config.decay_steps))
        decay = config.decay + share * (config.end_decay - config.decay)
        for slow, fast in zip(self.teacher.parameters(), encoder.parameters(), strict=True):
            slow.lerp_(fast.to(slow.dtype), 1 - decay)
        for slow, fast in zip(self.teacher.buffers(), encoder.buffers(), strict=True):
            slow.copy_(fast)
        self.steps += 1


def normalise_over_time(x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance of every channel over the real frames of each row."""
    valid_BT1 = valid_BT[..., None].to(x_BTD.dtype)
    count_B11 = valid_BT1.sum(1, keepdim=True)
    mean_B1D = (x_BTD * valid_BT1).sum(1, keepdim=True) / count_B11
    variance_B1D = ((x_BTD - mean_B1D).square() * valid_BT1).sum(1, keepdim=True) / count_B11
    return (x_BTD - mean_B1D) / (variance_B1D + 1e-5).sqrt()
