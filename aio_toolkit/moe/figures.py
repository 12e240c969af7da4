"""What a routing table amounts to, in a few figures."""

import math
from collections.abc import Sequence

import torch

from aio_toolkit.moe.balances.mutual_information import mutual_information
from aio_toolkit.moe.base import RoutingTable

# Share of an even load below which an expert counts as dead.
DEAD = 0.05


def layer_figures(table: RoutingTable, tasks: Sequence[str]) -> dict[str, float]:
    """Figures of one layer's routing, by name; tasks without tokens are left out.

    - `mutual_information` of gates and tasks, in nats;
    - `effective_experts`, the exponential of the entropy of the load, tasks equally weighted;
    - `dead_experts`, those with less than 5 % of an even load;
    - `entropy/<task>` of a task's load, in nats.

    Args:
        table: the layer's routing, of at least one token.
        tasks: names of the tasks, in the order of the table's rows.

    >>> count_GE = torch.tensor([[8.0, 8.0, 0.0], [0.0, 0.0, 0.0]])
    >>> table = RoutingTable(torch.tensor([8.0, 0.0]), *[count_GE] * 4, torch.zeros(2))
    >>> figures = layer_figures(table, ["asr", "sep"])
    >>> round(figures["effective_experts"], 6), figures["dead_experts"]
    (2.0, 1.0)
    >>> sorted(figures)
    ['dead_experts', 'effective_experts', 'entropy/asr', 'mutual_information']
    """
    present_G = table.tokens_G > 0
    load_GE = table.load_GE()
    load_E = load_GE[present_G].mean(0)

    few = DEAD / len(load_E)
    figures = {
        "mutual_information": mutual_information(table.detach()).item(),
        "effective_experts": math.exp(entropy(load_E)),
        "dead_experts": float((load_E < few).sum()),
    }
    for g, task in enumerate(tasks):
        if present_G[g]:
            figures[f"entropy/{task}"] = entropy(load_GE[g])
    return figures


def entropy(share_E: torch.Tensor) -> float:
    """Entropy in nats of a distribution.

    >>> entropy(torch.tensor([0.5, 0.5, 0.0]))
    0.6931471824645996
    """
    return torch.special.entr(share_E).sum().item()
