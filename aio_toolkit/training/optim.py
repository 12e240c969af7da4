"""The optimiser and its schedule."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass
class OptimConfig:
    """AdamW with linear warm-up and cosine decay to zero at `trainer.max_steps`.

    Attributes:
        lr: peak learning rate.
        weight_decay: on matrices only; biases, norms and embeddings are left alone.
        warmup_steps: optimiser steps until the peak.
        beta2: AdamW's second-moment decay.
    """

    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    beta2: float = 0.98


def build_optimizer(module: nn.Module, config: OptimConfig, max_steps: int) -> dict[str, Any]:
    """AdamW and schedule in the form that Lightning's `configure_optimizers` returns."""
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    trained = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and id(p) not in embeddings]
    others = [p for p in trained if p.ndim < 2 or id(p) in embeddings]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2), foreach=True)

    def factor(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        progress = (step - config.warmup_steps) / max(1, max_steps - config.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
