"""Routers: which experts a token of a given task goes to."""

from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing


@dataclass
class RouterConfig:
    """How experts are chosen.

    Attributes:
        kind: `per_task` has a gate for each task (Mod-Squad, Chen et al. 2023; the multi-gate router of M3ViT, Liang
            et al. 2022); `shared` one gate for all; `task_conditioned` one gate that sees a task embedding beside the
            token (M3ViT).
        noise: standard deviation of the noise on the logits in training, which breaks the ties of the start and lets
            close experts take turns (Shazeer et al. 2017, Eq. 4 with a constant scale).
        renormalise: make the weights of the chosen experts sum to one; otherwise they are the gate's probabilities.
        top_p: a token visits the fewest experts whose probabilities reach this sum, at most `top_k` of them (Huang
            et al. 2024, Eq. 5); None: always `top_k`.
        task_width: width of the task embedding of `task_conditioned`.
    """

    kind: str = "per_task"
    noise: float = 0.1
    renormalise: bool = True
    top_p: float | None = None
    task_width: int = 16


class _Router(nn.Module):
    """What all routers share: from logits to experts and weights.

    Gates start at zero and compute in float32 whatever the autocast type: routing in half precision picks other
    experts than the reference.
    """

    def __init__(self, num_experts: int, top_k: int, config: RouterConfig):
        super().__init__()
        self.top_k, self.config = top_k, config
        # Added where experts are chosen, never where they are weighed (Wang et al. 2024, aux-loss-free balancing).
        self.register_buffer("bias_E", torch.zeros(num_experts))

    def forward(self, x_BTD: torch.Tensor, task_B: torch.Tensor, valid_BT: torch.Tensor) -> Routing:
        """Route the frames of a padded batch, laid flat; those of padding go nowhere."""
        with torch.autocast(x_BTD.device.type, enabled=False):
            logit_NE = self.logits(x_BTD.float(), task_B).flatten(0, 1)
            noise = self.config.noise if self.training else 0.0
            noisy_NE = logit_NE + noise * torch.randn_like(logit_NE) if noise > 0 else logit_NE
            probability_NE = noisy_NE.softmax(-1)
            _, expert_NK = (probability_NE.detach() + self.bias_E).topk(self.top_k, dim=-1)
            weight_NK = probability_NE.gather(1, expert_NK)
            active_NK = valid_BT.flatten()[:, None].expand_as(expert_NK)
            if self.config.top_p is not None:
                # An expert is visited if those before it do not reach the sum; the first always is.
                before_NK = weight_NK.detach().cumsum(1) - weight_NK.detach()
                visited_NK = before_NK < self.config.top_p
                weight_NK, active_NK = weight_NK * visited_NK, active_NK & visited_NK
            if self.config.renormalise:
                weight_NK = weight_NK / weight_NK.sum(-1, keepdim=True)
            weight_NK = weight_NK * active_NK
            return Routing(expert_NK, weight_NK, active_NK, logit_NE, noisy_NE, noise)

    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, E) of every expert."""
        raise NotImplementedError

    def keep(self, task: int, experts: list[int]) -> None:
        """Throw away all but one task and the given experts."""
        self.bias_E = self.bias_E[experts]
        self.top_k = min(self.top_k, len(experts))

    def add_task(self) -> list[nn.Parameter]:
        """Make room for one more task, last in order; return what is its alone."""
        return []


class SharedRouter(_Router):
    """One linear gate; tasks are told apart only by what their tokens look like."""

    def __init__(self, width: int, num_tasks: int, num_experts: int, top_k: int, config: RouterConfig):
        super().__init__(num_experts, top_k, config)
        self.gate_DE = nn.Parameter(torch.zeros(width, num_experts))

    @override
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        return x_BTD @ self.gate_DE

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        super().keep(task, experts)
        self.gate_DE = nn.Parameter(self.gate_DE.data[:, experts])


class PerTaskRouter(_Router):
    """One linear gate per task, each a parameter of its own: a new task's gate trains with the others untouched."""

    def __init__(self, width: int, num_tasks: int, num_experts: int, top_k: int, config: RouterConfig):
        super().__init__(num_experts, top_k, config)
        self.gates_DE = nn.ParameterList(torch.zeros(width, num_experts) for _ in range(num_tasks))

    @override
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        gates_GDE = torch.stack(list(self.gates_DE))
        # What picks a row of a table this way has a gradient that is fast, and the same on every run of a GPU.
        return torch.bmm(x_BTD, F.embedding(task_B, gates_GDE.flatten(1)).unflatten(1, gates_GDE.shape[1:]))

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        super().keep(task, experts)
        self.gates_DE = nn.ParameterList([self.gates_DE[task].data[:, experts]])

    @override
    def add_task(self) -> list[nn.Parameter]:
        self.gates_DE.append(torch.zeros_like(self.gates_DE[0]))
        return [self.gates_DE[-1]]


class TaskConditionedRouter(_Router):
    """One linear gate on the token joined with its task's embedding, which no other part of the model sees."""

    def __init__(self, width: int, num_tasks: int, num_experts: int, top_k: int, config: RouterConfig):
        super().__init__(num_experts, top_k, config)
        self.tasks_C = nn.ParameterList(torch.randn(config.task_width) for _ in range(num_tasks))
        self.gate_DE = nn.Parameter(torch.zeros(width + config.task_width, num_experts))

    @override
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        # The product with the joined vector, in its two parts.
        D = x_BTD.shape[2]
        task_B1C = torch.stack(list(self.tasks_C))[task_B][:, None]
        return x_BTD @ self.gate_DE[:D] + task_B1C @ self.gate_DE[D:]

    @override
    def keep(self, task: int, experts: list[int]) -> None:
        super().keep(task, experts)
        self.tasks_C = nn.ParameterList([self.tasks_C[task]])
        self.gate_DE = nn.Parameter(self.gate_DE.data[:, experts])

    @override
    def add_task(self) -> list[nn.Parameter]:
        self.tasks_C.append(torch.randn_like(self.tasks_C[0]))
        return [self.tasks_C[-1]]


ROUTERS = {"per_task": PerTaskRouter, "shared": SharedRouter, "task_conditioned": TaskConditionedRouter}


def build_router(width: int, num_tasks: int, num_experts: int, top_k: int, config: RouterConfig) -> _Router:
    """The router called `config.kind`.

    Raises:
        AioError: unknown kind, or numbers that cannot be.
    """
    if config.kind not in ROUTERS:
        raise AioError(f"unknown moe.router.kind '{config.kind}'. Choose one of: {', '.join(ROUTERS)}.")
    if not 1 <= top_k <= num_experts:
        raise AioError(f"moe.top_k {top_k} is not between 1 and the number of experts, {num_experts}.")
    if config.top_p is not None and not 0 < config.top_p <= 1:
        raise AioError(f"moe.router.top_p {config.top_p} is not in (0, 1]. Use null for a fixed number of experts.")
    return ROUTERS[config.kind](width, num_tasks, num_experts, top_k, config)
