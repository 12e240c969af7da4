"""The contract of an output head: frames of one task in, a loss out.

Letters used in this folder: B batch, T frames, F feature bins, S samples, D model width, L tokens,
Q codebooks, V vocabulary or codebook size, C codec latent channels, N sources of a task.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.tasks import Task


@dataclass
class Frames:
    """Rows of a batch that share a task, behind the backbone.

    Attributes:
        h_BTD: frames of the backbone.
        lengths_B: real frames of each row.
        feats_BTF: the front end's features of the same frames.
        task: the task of all rows.
        wave_BS: the input, zero on padding; None in training.
        samples_B: real samples of each row; None in training.

    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> frames = Frames(torch.zeros(2, 5, 8), torch.tensor([5, 3]), torch.zeros(2, 5, 80), asr)
    >>> frames.task.name, frames.wave_BS is None
    ('asr', True)
    """

    h_BTD: torch.Tensor
    lengths_B: torch.Tensor
    feats_BTF: torch.Tensor
    task: Task
    wave_BS: torch.Tensor | None = None
    samples_B: torch.Tensor | None = None


class Head(nn.Module, ABC):
    """Answers all tasks of one kind.

    A head is made as `Head(config, width, tasks, units)`: its options, the width of the backbone,
    its tasks, and the units of its kind of answer (`answers.base.Units`).

    >>> class Mean(Head):
    ...     def __init__(self, config: Head.Config, width: int, tasks: Sequence[Task], units: Any):
    ...         super().__init__(config, width, tasks, units)
    ...         self.linear = nn.Linear(width, 1)
    ...
    ...     def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
    ...         answer_B1 = self.linear(frames.h_BTD.mean(1))
    ...         return Loss((answer_B1[:, 0] - target).square().mean())
    ...
    ...     def add_task(self, task: Task) -> list[nn.Parameter]:
    ...         return []
    ...
    ...     def keep(self, task: Task) -> None:
    ...         pass
    >>> age = Task("age", "age of the speaker", "number", ("age",), ("error",))
    >>> head = Mean(Head.Config(), 8, [age], units=None)
    >>> frames = Frames(torch.randn(2, 5, 8), torch.tensor([5, 5]), torch.zeros(2, 5, 80), age)
    >>> head.loss(frames, torch.tensor([30.0, 70.0])).total.shape
    torch.Size([])
    """

    @dataclass
    class Config:
        """Options of the head: none."""

    @abstractmethod
    def __init__(self, config: Any, width: int, tasks: Sequence[Task], units: Any):
        super().__init__()

    @abstractmethod
    def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
        """Loss of the frames of one task against its targets, as `AnswerKind.collate` made them."""

    @abstractmethod
    def add_task(self, task: Task) -> list[nn.Parameter]:
        """Make room for one more task; return the parameters that are its alone."""

    @abstractmethod
    def keep(self, task: Task) -> None:
        """Throw away what only other tasks use."""
