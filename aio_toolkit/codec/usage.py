"""Which codes are in use, and the revival of those that are not.

Letters: B batch, Q codebooks, T frames, V codes, K channels of a codebook.
"""

import torch
import torch.nn.functional as F
from torch import nn


def count_codes(codes_BQT: torch.Tensor, codebook_size: int) -> torch.Tensor:
    """How often each code of each codebook occurs (Q, V)."""
    return F.one_hot(codes_BQT.transpose(0, 1).flatten(1), codebook_size).sum(1)


def entropy_share(count_QV: torch.Tensor) -> torch.Tensor:
    """Entropy (Q,) of each codebook's use over its maximum, log V; 1 when all codes are used alike."""
    share_QV = count_QV.float() / count_QV.sum(1, keepdim=True)
    return torch.special.entr(share_QV).sum(1) / torch.tensor(float(count_QV.shape[1])).log()


class CodeRevival(nn.Module):
    """Moves codes that no frame has chosen for long to where frames are (Dhariwal et al. 2020, section 3.1)."""

    idle_QV: torch.Tensor

    def __init__(self, num_codebooks: int, codebook_size: int, patience: int):
        """A code is dead after `patience` steps without a frame."""
        super().__init__()
        self.patience = patience
        self.register_buffer("idle_QV", torch.zeros(num_codebooks, codebook_size, dtype=torch.long))

    @torch.no_grad()
    def step(self, quantizer: nn.Module, count_QV: torch.Tensor, projected_BPT: torch.Tensor, seed: int) -> int:
        """Note a step's use of the codes and revive the dead.

        Args:
            quantizer: a `dac` ResidualVectorQuantize.
            count_QV: `count_codes` of the step.
            projected_BPT: what the codebooks looked up, P = Q * K channels.
            seed: fixes which frames the dead codes move to.

        Returns:
            Number of codes revived.
        """
        self.idle_QV += 1
        self.idle_QV[count_QV > 0] = 0
        dead_QV = self.idle_QV >= self.patience
        if dead_QV.any():
            generator = torch.Generator().manual_seed(seed)
            for stage, dead_V, projected_BKT in zip(
                quantizer.quantizers, dead_QV, projected_BPT.chunk(len(dead_QV), dim=1), strict=True
            ):
                frames_NK = projected_BKT.transpose(1, 2).flatten(0, 1)
                chosen = torch.randint(len(frames_NK), (int(dead_V.sum()),), generator=generator)
                stage.codebook.weight[dead_V] = frames_NK[chosen.to(frames_NK.device)].to(stage.codebook.weight.dtype)
            self.idle_QV[dead_QV] = 0
        return int(dead_QV.sum())
