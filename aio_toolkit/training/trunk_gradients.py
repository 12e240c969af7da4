"""The gradients that tasks send back to the backbone they share: their norms, noted and evened out.

Letters: B batch, T frames, D model width, G tasks.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from aio_toolkit.ranges import bounded
from aio_toolkit.ranks import sum_over_ranks


class TrunkGradients(nn.Module):
    """Lets every task pull at the backbone as hard as its weight says.

    By themselves the norms of the tasks' gradients differ by orders of magnitude, and the backbone
    learns the loudest task. Here each gradient is divided by the running mean of its own norm and
    multiplied by the mean of all tasks, so that only weights tell them apart. That is what GradNorm
    (Chen et al. 2018) aims at, without its optimisation of the losses' weights: heads, which tasks
    of other kinds do not share, keep the gradients that they have.

    The means are those of whole optimizer steps, over micro-batches and ranks, and travel in
    checkpoints.

    Attributes:
        norm_G: running mean of each task's norm; 0 until it has come once.

    >>> trunk = TrunkGradients(TrunkGradients.Config(), {"asr": 3.0, "sep": 1.0})
    >>> h_BTD = torch.zeros(1, 2, 4, requires_grad=True)
    >>> for _ in range(2):
    ...     h_BTD.grad = None
    ...     loud, quiet = 1 * h_BTD, 1 * h_BTD
    ...     trunk.watch("asr", loud)
    ...     trunk.watch("sep", quiet)
    ...     (300 * loud[..., 0] + 0.01 * quiet[..., 1]).sum().backward()
    ...     trunk.close_step()
    >>> loud, quiet = h_BTD.grad[0, 0, :2].tolist()
    >>> round(loud / quiet, 3)
    3.0
    """

    norm_G: torch.Tensor
    weight_G: torch.Tensor
    total_G: torch.Tensor
    count_G: torch.Tensor

    @dataclass
    class Config:
        """How gradients are evened out.

        Attributes:
            even: bring the tasks' gradients to one norm, times their weights.
            memory: weight of the past in the running means, from one optimizer step to the next.
        """

        even: bool = True
        memory: float = bounded(0.95, least=0, below=1)

    def __init__(self, config: Config, weights: Mapping[str, float]):
        """Begin without any norm.

        Args:
            config: options.
            weights: what each task's loss was multiplied with, by task.
        """
        super().__init__()
        self.config = config
        self.places = {task: place for place, task in enumerate(weights)}
        self.register_buffer("norm_G", torch.zeros(len(weights)))
        weight_G = torch.tensor(list(weights.values()))
        # The optimizer step so far: no checkpoint is written in the midst of one.
        for name, value_G in (
            ("weight_G", weight_G),
            ("total_G", torch.zeros_like(weight_G)),
            ("count_G", torch.zeros_like(weight_G)),
        ):
            self.register_buffer(name, value_G, persistent=False)
        self._noted: dict[str, torch.Tensor] = {}

    def watch(self, task: str, h_BTD: torch.Tensor) -> None:
        """Have the gradient of a task's frames noted and evened out when it comes back."""
        if h_BTD.requires_grad:
            h_BTD.register_hook(functools.partial(self._even, task))

    def take_noted(self) -> dict[str, torch.Tensor]:
        """The norms of the micro-batch that ends here as they came, by task."""
        noted, self._noted = self._noted, {}
        return noted

    def close_step(self, micro_batches: int = 1) -> None:
        """Bring the running means up to date with the optimizer step that ends here.

        Args:
            micro_batches: how many it was made of; each sent its gradient divided by this number.
        """
        total_G, count_G = sum_over_ranks(torch.stack([self.total_G, self.count_G]))
        self.total_G.zero_()
        self.count_G.zero_()

        mean_G = micro_batches * total_G / count_G.clamp_min(1)
        moved_G = self.norm_G.lerp(mean_G, 1 - self.config.memory)
        # The first mean stands alone; a task that did not come keeps the one it has.
        moved_G = torch.where(self.norm_G > 0, moved_G, mean_G)
        self.norm_G.copy_(torch.where(count_G > 0, moved_G, self.norm_G))

    def _even(self, task: str, gradient_BTD: torch.Tensor) -> torch.Tensor:
        # In half precision the sum of squares would overflow.
        norm = gradient_BTD.detach().float().norm()
        self._noted[task] = norm
        place = self.places[task]
        self.total_G[place] += norm
        self.count_G[place] += 1
        return gradient_BTD * self._factors()[place] if self.config.even else gradient_BTD

    def _factors(self) -> torch.Tensor:
        """What each task's gradient is multiplied with (G,)."""
        is_known_G = self.norm_G > 0
        # A task of weight 0 sends nothing back.
        log_G = (self.norm_G / self.weight_G).where(is_known_G, 1.0).log()
        mean_log = log_G.sum() / is_known_G.sum().clamp_min(1)
        return (mean_log - log_G).exp().where(is_known_G, 1.0)
