"""Keeping experts in use: losses on routing tables, and a bias that needs no loss.

Exactly one is active, by name. All of them look at the tokens of all tasks together: an expert that one task alone
visits is no fault.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Balance, Routing, RoutingTable


@dataclass
class BalanceConfig:
    """What keeps experts in use.

    Attributes:
        kind: `mutual_information` (Mod-Squad) specialises experts to tasks; `importance_load` (Shazeer et al. 2017,
            M3ViT) and `switch` (Fedus et al. 2022) even out their use; `bias` (Wang et al. 2024) evens it out with no
            loss at all; `none` leaves the router alone.
        weight: weight of the loss, summed over layers.
        z_weight: weight of the z-loss, which goes with `switch`, within its loss.
        bias_rate: what `bias` adds or takes off after every optimiser step.
    """

    kind: str = "mutual_information"
    weight: float = 0.01
    z_weight: float = 0.1
    bias_rate: float = 1e-3


def build_balance(config: BalanceConfig) -> Balance | None:
    """The loss called `config.kind`; None for the kinds without one.

    Raises:
        AioError: unknown kind.
    """
    losses: dict[str, Callable[[RoutingTable], torch.Tensor] | None] = {
        "mutual_information": lambda table: -mutual_information(table),
        "importance_load": importance_load_loss,
        "switch": lambda table: switch_loss(table) + config.z_weight * z_loss(table),
        "bias": None,
        "none": None,
    }
    if config.kind not in losses:
        raise AioError(f"unknown moe.balance.kind '{config.kind}'. Choose one of: {', '.join(losses)}.")
    return losses[config.kind]


def mutual_information(table: RoutingTable) -> torch.Tensor:
    """Mutual information I(task; expert) in nats (Mod-Squad, Eq. 4-5), tasks equally likely.

    It is high when each task uses few experts while all experts are used by some task. It is zero, with zero
    gradient, where the table holds a single task: see `moe.pool`.
    """
    present_G = table.tokens_G > 0
    conditional_GE = table.probability_GE[present_G] / table.tokens_G[present_G, None]
    joint_GE = conditional_GE / len(conditional_GE)
    marginal_E = joint_GE.sum(0)
    tiny = torch.finfo(joint_GE.dtype).tiny
    return (joint_GE * (conditional_GE.clamp_min(tiny).log() - marginal_E.clamp_min(tiny).log())).sum()


def importance_load_loss(table: RoutingTable) -> torch.Tensor:
    """Squared coefficients of variation of importance and of expected load (Shazeer et al. 2017, Eq. 7 and 11)."""
    return _squared_variation(table.importance_GE.sum(0)) + _squared_variation(table.expected_GE.sum(0))


def _squared_variation(x_E: torch.Tensor) -> torch.Tensor:
    return x_E.var(unbiased=False) / x_E.mean().square().clamp_min(1e-10)


def switch_loss(table: RoutingTable) -> torch.Tensor:
    """E * sum over experts of the share of visits times the mean probability (Fedus et al. 2022, Eq. 4); least 1."""
    share_E = table.count_GE.sum(0) / table.count_GE.sum().clamp_min(1)
    probability_E = table.probability_GE.sum(0) / table.tokens_G.sum().clamp_min(1)
    return len(share_E) * (share_E * probability_E).sum()


def z_loss(table: RoutingTable) -> torch.Tensor:
    """Mean squared log-sum-exp of the logits (Zoph et al. 2022, Eq. 5)."""
    return table.square_G.sum() / table.tokens_G.sum().clamp_min(1)


@torch.no_grad()
def update_bias(bias_E: torch.Tensor, table: RoutingTable, rate: float) -> None:
    """Raise the bias of experts below the mean load, lower that of those above (Wang et al. 2024, Alg. 1)."""
    count_E = table.count_GE.sum(0)
    bias_E += rate * (count_E.mean() - count_E).sign()


def expected_visits(routing: Routing) -> torch.Tensor:
    """Probability (N, E) that each token visits each expert, were its noise drawn again for that expert alone.

    Shazeer et al. 2017, Eq. 8-9. Without noise it is the choice itself, and not differentiable.
    """
    E, K = routing.logit_NE.shape[1], routing.expert_NK.shape[1]
    if routing.noise == 0 or K == E:
        return torch.zeros_like(routing.logit_NE).scatter(1, routing.expert_NK, routing.active_NK.float())
    top_NK = routing.noisy_NE.topk(K + 1, dim=-1).values
    # The K-th largest of the others: for an expert that is among the K largest, that is number K + 1.
    chosen_NE = routing.noisy_NE >= top_NK[:, K - 1 : K]
    threshold_NE = torch.where(chosen_NE, top_NK[:, K : K + 1], top_NK[:, K - 1 : K])
    return torch.special.ndtr((routing.logit_NE - threshold_NE) / routing.noise)
