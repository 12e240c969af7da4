"""Which codes are in use, and the revival of those that are not.

Letters: B batch, Q codebooks, T frames, V codes, K channels of a codebook, N frames of the batch.
"""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.ranks import of_first_rank, sum_over_ranks


def count_codes(codes_BQT: torch.Tensor, codebook_size: int) -> torch.Tensor:
    """How often each code of each codebook occurs (Q, V).

    >>> count_codes(torch.tensor([[[0, 2, 2]]]), codebook_size=3)
    tensor([[1, 0, 2]])
    """
    codes_QN = codes_BQT.transpose(0, 1).flatten(1)
    return F.one_hot(codes_QN, codebook_size).sum(1)


def entropy_share(count_QV: torch.Tensor) -> torch.Tensor:
    """Entropy (Q,) of each codebook's use over its maximum, log V; 1 when all codes are used alike.

    >>> entropy_share(torch.tensor([[4, 4], [8, 0]]))
    tensor([1., 0.])
    """
    total_Q1 = count_QV.sum(1, keepdim=True)
    share_QV = count_QV.float() / total_Q1
    entropy_Q = torch.special.entr(share_QV).sum(1)
    num_codes = torch.tensor(float(count_QV.shape[1]))
    return entropy_Q / num_codes.log()


class CodeRevival(nn.Module):
    """Moves codes that no frame has chosen for long to where frames are.

    Dhariwal et al. 2020, section 3.1.
    """

    idle_QV: torch.Tensor

    def __init__(self, num_codebooks: int, codebook_size: int, patience: int) -> None:
        """A code is dead after `patience` steps without a frame."""
        super().__init__()
        self.patience = patience
        idle_QV = torch.zeros(num_codebooks, codebook_size, dtype=torch.long)
        self.register_buffer("idle_QV", idle_QV)

    @torch.no_grad()
    def step(
        self,
        quantizer: nn.Module,
        count_QV: torch.Tensor,
        projected_BPT: torch.Tensor,
        seed: int,
    ) -> int:
        """Note a step's use of the codes and revive the dead.

        In data-parallel training a code lives if any rank has a frame for it, and the dead move to
        frames of the first rank, on all ranks alike.

        Args:
            quantizer: a `dac` ResidualVectorQuantize.
            count_QV: `count_codes` of the step, of this rank's frames.
            projected_BPT: what the codebooks looked up, P = Q * K channels.
            seed: fixes which frames the dead codes move to.

        Returns:
            Number of codes revived.
        """
        self.idle_QV += 1
        self.idle_QV[sum_over_ranks(count_QV) > 0] = 0
        dead_QV = self.idle_QV >= self.patience
        if not dead_QV.any():
            return 0

        # A generator of its own: reviving must not move the run's other draws.
        generator = torch.Generator().manual_seed(seed)
        projected_QBKT = projected_BPT.chunk(len(dead_QV), dim=1)
        for stage, dead_V, projected_BKT in zip(
            quantizer.quantizers, dead_QV, projected_QBKT, strict=True
        ):
            num_dead = int(dead_V.sum())
            if num_dead == 0:
                continue
            frames_NK = projected_BKT.transpose(1, 2).flatten(0, 1)
            chosen = torch.randint(len(frames_NK), (num_dead,), generator=generator)
            moved_NK = of_first_rank(frames_NK[chosen.to(frames_NK.device)])
            weight_VK = stage.codebook.weight
            weight_VK[dead_V] = moved_NK.to(weight_VK.dtype)
        self.idle_QV[dead_QV] = 0
        return int(dead_QV.sum())
