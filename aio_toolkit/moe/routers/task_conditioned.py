"""One gate that sees the task."""

from dataclasses import dataclass
from typing import override

import torch
from torch import nn

from aio_toolkit.moe.gate import Gate
from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.ranges import bounded


class TaskConditionedRouter(Gate):
    """One linear gate on the token joined with its task's embedding (M3ViT, Liang et al. 2022).

    No other part of the model sees that embedding. C is its width.

    >>> router = TaskConditionedRouter(TaskConditionedRouter.Config(), RouterSizes(8, 6, 4, 2))
    >>> len(router.tasks_C), router.gate_DE.shape
    (6, torch.Size([24, 4]))
    """

    @dataclass
    class Config(Gate.Config):
        """How the gate sees the task.

        Attributes:
            task_width: width of the task embedding.
        """

        task_width: int = bounded(16, least=1)

    def __init__(self, config: Config, sizes: RouterSizes):
        super().__init__(config, sizes)
        self.tasks_C = nn.ParameterList()
        for _ in range(sizes.num_tasks):
            embedding_C = torch.randn(config.task_width)
            self.tasks_C.append(embedding_C)
        joined_width = sizes.width + config.task_width
        self.gate_DE = nn.Parameter(self.start(joined_width))

    @override
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        """Product of the joined vectors and the gate, (B, T, E)."""
        D = x_BTD.shape[2]
        tasks_GC = torch.stack(list(self.tasks_C))
        task_B1C = tasks_GC[task_B][:, None]
        # In its two parts, so that frames need not be copied to join them with their task.
        of_token_BTE = x_BTD @ self.gate_DE[:D]
        of_task_B1E = task_B1C @ self.gate_DE[D:]
        return of_token_BTE + of_task_B1E

    @override
    def add_task(self) -> list[nn.Parameter]:
        """One more embedding, drawn at random."""
        self.tasks_C.append(torch.randn_like(self.tasks_C[0]))
        return [self.tasks_C[-1]]

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        """Throw away all but one task's embedding and the given experts."""
        super().keep(task, experts)
        kept_C = self.tasks_C[task]
        self.tasks_C = nn.ParameterList([kept_C])
        kept_DE = self.gate_DE.data[:, experts]
        self.gate_DE = nn.Parameter(kept_DE)
