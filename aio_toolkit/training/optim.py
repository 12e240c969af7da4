"""The optimizer and its schedule."""

import functools
import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from aio_toolkit.moe.routers.base import Router
from aio_toolkit.ranges import bounded
from aio_toolkit.training.muon import Muon

# AdamW's first-moment decay.
BETA1 = 0.9
# The shorter side of the smallest matrix that Muon steps; what is smaller are kernels.
LEAST_SIDE = 32


class OptimizerKind(StrEnum):
    """What takes the steps: AdamW all of them, or Muon those of matrices."""

    adamw = "adamw"
    muon = "muon"


class Optim:
    """AdamW or Muon; the rate rises linearly, holds, and falls as a cosine to zero at the end.

    >>> optim = Optim(Optim.Config(lr=1.0, warmup_steps=2, fall=0.5))
    >>> [round(optim.factor(step, 10), 2) for step in (0, 1, 2, 6, 8, 10)]
    [0.5, 1.0, 1.0, 1.0, 0.5, 0.0]
    """

    @dataclass
    class Config:
        """The optimizer's options.

        Attributes:
            kind: adamw; muon: Muon for matrices, stacks of them included, AdamW for the rest.
            lr: peak learning rate, of both kinds alike: Muon's updates are scaled to AdamW's.
            weight_decay: on matrices only; biases, norms and embeddings are left alone.
            warmup_steps: optimizer steps until the peak.
            fall: share of the steps after it in which the rate falls; 1 falls from the peak on.
            beta2: AdamW's second-moment decay.
        """

        kind: OptimizerKind = OptimizerKind.adamw
        lr: float = bounded(1e-3, above=0)
        weight_decay: float = bounded(0.01, least=0)
        warmup_steps: int = bounded(100, least=0)
        fall: float = bounded(1.0, above=0, most=1)
        beta2: float = bounded(0.98, least=0, below=1)

    def __init__(self, config: Config):
        """Take over options."""
        self.config = config

    def build(self, module: nn.Module, max_steps: int) -> OptimizerLRSchedulerConfig:
        """Optimizer and schedule in the form that Lightning's `configure_optimizers` returns.

        Args:
            module: its parameters are optimized, except those that are frozen.
            max_steps: optimizer steps of the whole run.
        """
        optimizer = self._optimizer(module)
        factor = functools.partial(self.factor, max_steps=max_steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def factor(self, step: int, max_steps: int) -> float:
        """Share of the peak rate that step number `step`, counted from 0, is made with."""
        warmup = self.config.warmup_steps
        if step < warmup:
            # Not from zero: the first step would be wasted.
            return (step + 1) / warmup
        falling = max(1.0, self.config.fall * (max_steps - warmup))
        left = (max_steps - step) / falling
        angle = math.pi * (1 - min(1.0, max(0.0, left)))
        return 0.5 * (1 + math.cos(angle))

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        config = self.config
        decayed, others = _split_by_decay(module)
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        betas = (BETA1, config.beta2)
        if config.kind == OptimizerKind.adamw:
            return torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)
        gates = {id(p) for m in module.modules() if isinstance(m, Router) for p in m.parameters()}
        matrices: list[nn.Parameter] = []
        small: list[nn.Parameter] = []
        for parameter in decayed:
            is_matrix = id(parameter) not in gates and min(parameter.shape[-2:]) >= LEAST_SIDE
            (matrices if is_matrix else small).append(parameter)
        groups[0]["params"] = small
        groups.append({"params": matrices, "weight_decay": config.weight_decay, "muon": True})
        return Muon(groups, lr=config.lr, betas=betas)


def _split_by_decay(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that train: those that decay, and the others."""
    # A rare token's row would shrink in every step that does not have the token.
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        is_matrix = parameter.ndim >= 2 and id(parameter) not in embeddings
        group = decayed if is_matrix else others
        group.append(parameter)
    return decayed, others
