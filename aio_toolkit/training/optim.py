"""The optimizer and its schedule."""

import functools
import math
from dataclasses import dataclass

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

# AdamW's first-moment decay.
BETA1 = 0.9


class AdamWCosine:
    """AdamW with linear warm-up and cosine decay to zero at the last step.

    >>> optimizer = AdamWCosine(AdamWCosine.Config(lr=1.0, warmup_steps=2))
    >>> [round(optimizer.factor(step, 10), 2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    @dataclass
    class Config:
        """The optimizer's options.

        Attributes:
            lr: peak learning rate.
            weight_decay: on matrices only; biases, norms and embeddings are left alone.
            warmup_steps: optimizer steps until the peak.
            beta2: AdamW's second-moment decay.
        """

        lr: float = 1e-3
        weight_decay: float = 0.01
        warmup_steps: int = 100
        beta2: float = 0.98

    def __init__(self, config: Config):
        self.config = config

    def build(self, module: nn.Module, max_steps: int) -> OptimizerLRSchedulerConfig:
        """Optimizer and schedule in the form that Lightning's `configure_optimizers` returns.

        Args:
            module: its parameters are optimized, except those that are frozen.
            max_steps: optimizer steps of the whole run.
        """
        config = self.config
        decayed, others = _split_by_decay(module)
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        betas = (BETA1, config.beta2)
        optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)
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
        falling = max(1, max_steps - warmup)
        progress = (step - warmup) / falling
        angle = math.pi * min(1.0, progress)
        return 0.5 * (1 + math.cos(angle))


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
