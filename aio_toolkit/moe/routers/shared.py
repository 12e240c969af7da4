"""One gate for all tasks."""

from typing import override

import torch
from torch import nn

from aio_toolkit.moe.gate import Gate
from aio_toolkit.moe.routers.base import RouterSizes


class SharedRouter(Gate):
    """One linear gate; tasks are told apart only by what their tokens look like.

    >>> router = SharedRouter(SharedRouter.Config(), RouterSizes(8, 6, 4, 2))
    >>> router.gate_DE.shape
    torch.Size([8, 4])
    """

    def __init__(self, config: Gate.Config, sizes: RouterSizes):
        super().__init__(config, sizes)
        self.gate_DE = nn.Parameter(self.start(sizes.width))

    @override
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        """Product of frames and gate, (B, T, E)."""
        return x_BTD @ self.gate_DE

    @override
    def add_task(self) -> list[nn.Parameter]:
        """Nothing is a task's alone."""
        return []

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        """Throw away all but the given experts."""
        super().keep(task, experts)
        kept_DE = self.gate_DE.data[:, experts]
        self.gate_DE = nn.Parameter(kept_DE)
