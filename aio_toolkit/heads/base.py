"""The contract of an output head: frames of one task in, a loss out.

Letters used in this folder: B batch, T frames, F feature bins, S samples, D model width, L tokens,
Q codebooks, V vocabulary or codebook size, C codec latent channels, N sources of a task.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.tasks import Task


@dataclass
class Frames:
    """Rows of a batch that share a task, behind the backbone, with the waves that they are of.

    Attributes:
        h_BTD: frames of the backbone.
        lengths_B: real frames of each row.
        task: the task of all rows.
        wave_BS: the input, zero on padding.
        samples_B: real samples of each row.
        features: features (B, T, F) of the input by the name of the front end, as they are.

    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> waves = torch.zeros(2, 1600), torch.tensor([1600, 900])
    >>> frames = Frames(torch.zeros(2, 5, 8), torch.tensor([5, 3]), asr, *waves)
    >>> frames.task.name, frames.features
    ('asr', {})
    """

    h_BTD: torch.Tensor
    lengths_B: torch.Tensor
    task: Task
    wave_BS: torch.Tensor
    samples_B: torch.Tensor
    features: Mapping[str, torch.Tensor] = field(default_factory=dict)


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
    >>> waves = torch.zeros(2, 1600), torch.tensor([1600, 1600])
    >>> frames = Frames(torch.randn(2, 5, 8), torch.tensor([5, 5]), age, *waves)
    >>> head.loss(frames, torch.tensor([30.0, 70.0])).total.shape
    torch.Size([])
    """

    @dataclass
    class Config:
        """Options of the head: none."""

    @abstractmethod
    def __init__(self, config: Any, width: int, tasks: Sequence[Task], units: Any):
        super().__init__()

    @property
    def reads(self) -> frozenset[str]:
        """The front ends that it needs among `Frames.features`: none."""
        return frozenset()

    @classmethod
    def wanted(cls, config: Any) -> frozenset[str]:
        """What it takes as targets besides what its kind of answer always has: `codes`, or nothing.

        Stage 2 writes codes of sources only where a head wants them.

        Args:
            config: its options.
        """
        return frozenset()

    @abstractmethod
    def loss(self, frames: Frames, target: Any) -> Loss:
        """Loss of the frames of one task against its targets, as `AnswerKind.collate` made them."""

    @abstractmethod
    def add_task(self, task: Task) -> list[nn.Parameter]:
        """Make room for one more task; return the parameters that are its alone."""

    @abstractmethod
    def keep(self, task: Task) -> None:
        """Throw away what only other tasks use."""
