"""A yes or no for every tag, from the mean over frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from tagging.answers.tags import TagUnits
from torch import nn

from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.tasks import Task


class TagHead(Head):
    """One linear layer for all tagging tasks."""

    @dataclass
    class Config:
        """Options.

        Attributes:
            positive_weight: how much a tag that holds counts against one that does not.
        """

        positive_weight: float = 2.0

    def __init__(self, config: Config, width: int, tasks: Sequence[Task], units: TagUnits):
        super().__init__(config, width, tasks, units)
        self.linear = nn.Linear(width, len(units.tags))
        self.positive_weight = config.positive_weight

    @override
    def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
        weight = torch.full_like(target, self.positive_weight)
        logits = self.logits(frames)
        return Loss(F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight))

    def logits(self, frames: Frames) -> torch.Tensor:
        valid_BT = valid_frames(frames.lengths_B, frames.h_BTD.shape[1])
        sum_BD = (frames.h_BTD * valid_BT[..., None]).sum(1)
        return self.linear(sum_BD / frames.lengths_B[:, None])

    @override
    def add_task(self, task: Task) -> list[nn.Parameter]:
        return []

    @override
    def keep(self, task: Task) -> None:
        pass
