"""Balance losses."""

import torch

from aio_toolkit.moe.base import RoutingTable


def mutual_information(table: RoutingTable) -> torch.Tensor:
    """Mutual information I(task; expert) in nats (Mod-Squad, Chen et al. 2023, Eq. 4-5), tasks equally likely.

    It is high when each task uses few experts while all experts are used by some task. It is zero, with zero
    gradient, where the batch holds a single task: batches must mix tasks.
    """
    conditional_GE = table.probability_GE[table.present_G]
    joint_GE = conditional_GE / len(conditional_GE)
    marginal_E = joint_GE.sum(0)
    tiny = torch.finfo(joint_GE.dtype).tiny
    return (joint_GE * (conditional_GE.clamp_min(tiny).log() - marginal_E.clamp_min(tiny).log())).sum()


def mutual_information_loss(table: RoutingTable) -> torch.Tensor:
    """The negative mutual information: minimising it specialises experts and keeps all of them in use."""
    return -mutual_information(table)
