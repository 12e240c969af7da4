"""A gate for each task."""

from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.moe.gate import Gate
from aio_toolkit.moe.routers.base import RouterSizes


class PerTaskRouter(Gate):
    """One linear gate per task (Mod-Squad, Chen et al. 2023; multi-gate M3ViT, Liang et al. 2022).

    Each gate is a parameter of its own, so that a new task's gate trains with the others untouched.

    >>> router = PerTaskRouter(PerTaskRouter.Config(), RouterSizes(8, 6, 4, 2))
    >>> len(router.gates_DE), router.gates_DE[0].shape
    (6, torch.Size([8, 4]))
    """

    def __init__(self, config: Gate.Config, sizes: RouterSizes):
        super().__init__(config, sizes)
        self.gates_DE = nn.ParameterList()
        for _ in range(sizes.num_tasks):
            self.gates_DE.append(self.start(sizes.width))

    @override
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        """Product of each row's frames and its task's gate, (B, T, E)."""
        gates_GDE = torch.stack(list(self.gates_DE))
        D, E = gates_GDE.shape[1:]
        # Unlike indexing, `F.embedding` has a backward that is fast and deterministic on a GPU.
        gate_BX = F.embedding(task_B, gates_GDE.flatten(1))
        gate_BDE = gate_BX.unflatten(1, (D, E))
        return torch.bmm(x_BTD, gate_BDE)

    @override
    def add_task(self) -> list[nn.Parameter]:
        """One more gate, at zero."""
        # Like the others, on whatever device they are by now.
        self.gates_DE.append(torch.zeros_like(self.gates_DE[0]))
        return [self.gates_DE[-1]]

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        """Throw away all but one task's gate and the given experts."""
        super().keep(task, experts)
        kept_DE = self.gates_DE[task].data[:, experts]
        self.gates_DE = nn.ParameterList([kept_DE])
