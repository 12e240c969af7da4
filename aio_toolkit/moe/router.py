"""Task gates: which experts a token of a given task goes to."""

import torch
from torch import nn

from aio_toolkit.moe.base import Routing


class TaskRouter(nn.Module):
    """One linear gate per task (Mod-Squad, Chen et al. 2023; the multi-gate router of M3ViT, Liang et al. 2022).

    Gates start at zero and compute in float32 whatever the autocast type: routing in half precision picks
    other experts than the reference. In training, Gaussian noise on the logits breaks the ties of the start
    and lets close experts take turns (Shazeer et al. 2017, Eq. 4 with a constant scale).
    """

    def __init__(self, width: int, num_tasks: int, num_experts: int, top_k: int, noise: float):
        super().__init__()
        self.weight_GDE = nn.Parameter(torch.zeros(num_tasks, width, num_experts))
        self.top_k = top_k
        self.noise = noise

    def forward(self, x_ND: torch.Tensor, task_N: torch.Tensor) -> Routing:
        """Route each token by its task's gate; the K kept probabilities are renormalised to sum to one."""
        with torch.autocast(x_ND.device.type, enabled=False):
            logit_NE = self._logits(x_ND.float(), task_N)
            probability_NE = logit_NE.softmax(-1)
            score_NE = probability_NE
            if self.training and self.noise > 0:
                score_NE = (logit_NE + self.noise * torch.randn_like(logit_NE)).softmax(-1)
            top_NK, expert_NK = score_NE.topk(self.top_k, dim=-1)
            return Routing(expert_NK, top_NK / top_NK.sum(-1, keepdim=True), probability_NE)

    def _logits(self, x_ND: torch.Tensor, task_N: torch.Tensor) -> torch.Tensor:
        # All gates in one matrix product: with a handful of tasks and experts it is cheaper than sorting tokens.
        G, _, E = self.weight_GDE.shape
        all_NGE = (x_ND @ self.weight_GDE.transpose(0, 1).flatten(1)).view(-1, G, E)
        return all_NGE[torch.arange(len(task_N), device=task_N.device), task_N]
