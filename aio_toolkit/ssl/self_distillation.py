"""Self-distillation, after data2vec (Baevski et al. 2022): predict what a slow copy hears."""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded
from aio_toolkit.ssl._figures import spread
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch, Objective, TargetSizes


class SelfDistillation(Objective):
    """The teacher, a slow copy of the encoder, hears all frames; the student predicts its states.

    This is data2vec: a teacher with a rising decay, the mean over its last layers as target, one
    mask, masked frames replaced by a learned vector, a linear prediction. What makes data2vec 2.0
    (Baevski et al. 2023) fast is not here: several masks for each target, an encoder that skips
    masked frames, and a convolutional decoder. Ours: targets are whole states where the paper takes
    what a block's feed-forward layer adds, and the stem has a slow copy too. The codec's codes are
    not used.

    >>> class Doubling(FeatureEncoder):
    ...     def forward(self, normalised_BTF, lengths_B):
    ...         return [normalised_BTF, 2 * normalised_BTF]
    >>> encoder = Doubling(width=6)
    >>> objective = SelfDistillation(SelfDistillation.Config(), encoder, TargetSizes(6, 2, 16))
    >>> masked_BT = torch.tensor([[False, True, True]])
    >>> feats_BTF = torch.randn(1, 3, 6)
    >>> states = encoder(feats_BTF.masked_fill(masked_BT[..., None], 0.0), torch.tensor([3]))
    >>> batch = MaskedBatch(feats_BTF, feats_BTF, None, torch.ones(1, 3) > 0, masked_BT, states)
    >>> sorted(objective.loss(batch).figures)
    ['prediction_std', 'target_std']
    """

    steps: torch.Tensor

    @dataclass
    class Config:
        """Teacher.

        Attributes:
            decay: share of the teacher that stays at each step, at the start.
            end_decay: the same after `decay_steps`; it grows linearly in between.
            decay_steps: steps until then.
            top_layers: how many of the last layers are averaged for the target.
        """

        decay: float = bounded(0.99, least=0, most=1)
        end_decay: float = bounded(0.999, least=0, most=1)
        decay_steps: int = bounded(1000, least=1)
        top_layers: int = bounded(2, least=1)

    def __init__(self, config: Config, encoder: FeatureEncoder, sizes: TargetSizes):
        super().__init__(config, encoder, sizes)
        self.config = config
        self.teacher = copy.deepcopy(encoder)
        self.teacher.requires_grad_(requires_grad=False)
        self.predict = nn.Linear(encoder.width, encoder.width)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def target(self, batch: MaskedBatch) -> torch.Tensor:
        """Mean (B, T, D) of the teacher's last layers, each normalised over each utterance."""
        # `train()` of the whole model has reached the teacher too.
        self.teacher.eval()
        valid_BT = batch.valid_BT
        states = self.teacher(batch.inputs_BTF, valid_BT.sum(1))
        top_states = states[-self.config.top_layers :]
        # Pre-norm states grow with depth: the last layer would drown the others.
        normalised = [normalise_over_time(state.float(), valid_BT) for state in top_states]
        return torch.stack(normalised).mean(0)

    def loss(self, batch: MaskedBatch) -> Loss:
        """Mean squared error on the masked frames, and how much target and prediction vary."""
        target_MD = self.target(batch)[batch.masked_BT]
        predicted_MD = self.predict(batch.state_MD).float()
        figures = {
            "target_std": spread(target_MD),
            "prediction_std": spread(predicted_MD.detach()),
        }
        return Loss(F.mse_loss(predicted_MD, target_MD), figures)

    @torch.no_grad()
    def after_step(self, encoder: FeatureEncoder) -> None:
        """Move the teacher a little towards the encoder; statistics, which are buffers, at once."""
        decay = self._decay()
        teacher = self.teacher
        for slow, fast in zip(teacher.parameters(), encoder.parameters(), strict=True):
            slow.lerp_(fast.to(slow.dtype), 1 - decay)
        for kept, read in zip(teacher.buffers(), encoder.buffers(), strict=True):
            kept.copy_(read)
        self.steps += 1

    def _decay(self) -> float:
        config = self.config
        growth = config.end_decay - config.decay
        progress = self.steps.item() / max(1, config.decay_steps)
        return config.decay + min(1.0, progress) * growth


def normalise_over_time(x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance of every channel over the real frames of each row.

    >>> x_BTD, valid_BT = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])
    >>> normalise_over_time(x_BTD, valid_BT)
    tensor([[[-1.0000],
             [ 1.0000],
             [ 7.0000]]])
    """
    mean_B1D = _mean_over_time(x_BTD, valid_BT)
    centred_BTD = x_BTD - mean_B1D
    variance_B1D = _mean_over_time(centred_BTD.square(), valid_BT)
    # A channel that never moves, as in digital silence, is divided by little, but not by zero.
    std_B1D = (variance_B1D + 1e-5).sqrt()
    return centred_BTD / std_B1D


def _mean_over_time(x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """Mean (B, 1, D) over the real frames of each row."""
    valid_BT1 = valid_BT[..., None].to(x_BTD.dtype)
    sum_B1D = (x_BTD * valid_BT1).sum(1, keepdim=True)
    return sum_B1D / valid_BT1.sum(1, keepdim=True)
