"""The optimizer and its schedule."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


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

    def build(self, module: nn.Module, max_steps: int) -> dict[str, Any]:
        """Optimizer and schedule in the form that Lightning's `configure_optimizers` returns."""
        embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
        trained = [p for p in module.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim >= 2 and id(p) not in embeddings]
        others = [p for p in trained if p.ndim < 2 or id(p) in embeddings]
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        betas = (0.9, self.config.beta2)
        optimizer = torch.optim.AdamW(groups, lr=self.config.lr, betas=betas, foreach=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.factor(step, max_steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def factor(self, step: int, max_steps: int) -> float:
        """Share of the peak rate that step number `step`, counted from 0, is made with."""
        warmup = self.config.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, max_steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
