"""From the routing of tokens to the routing table of a layer."""

import torch
import torch.nn.functional as F

from aio_toolkit.moe.base import Routing, RoutingTable


def tabulate(
    routing: Routing, member_GN: torch.Tensor, reads: frozenset[str] = frozenset()
) -> RoutingTable:
    """Sums over the tokens of each task.

    Args:
        routing: where each token goes.
        member_GN: which tokens are of which task, see `members`.
        reads: columns to fill besides those that always are: `importance`, `expected`.

    >>> logit_NE = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    >>> weight_NK, expert_NK = logit_NE.softmax(-1).topk(1)
    >>> active_NK = torch.tensor([[True], [True], [False]])
    >>> routing = Routing(expert_NK, weight_NK * active_NK, active_NK, logit_NE, logit_NE)
    >>> tabulate(routing, torch.tensor([[1.0, 1.0, 0.0]])).count_GE
    tensor([[1., 1.]])
    """
    # In half precision, sums over thousands of tokens would stop counting.
    with torch.autocast(member_GN.device.type, enabled=False):
        columns = _columns(routing, reads)
        widths = [column.shape[1] for column in columns.values()]
        # One product for all columns reads the members once.
        joined = torch.cat(list(columns.values()), dim=1)
        parts = (member_GN @ joined).split(widths, dim=1)
        sums = dict(zip(columns, parts, strict=True))

    # A choice has no gradient; a graph behind its counts would be kept for nothing.
    count_GE = sums["count"].detach()
    # Zeros, not None: tables are added, reduced over ranks and saved column by column.
    unread_GE = torch.zeros_like(count_GE)
    return RoutingTable(
        tokens_G=member_GN.sum(1),
        count_GE=count_GE,
        probability_GE=sums["probability"],
        importance_GE=sums.get("importance", unread_GE),
        expected_GE=sums.get("expected", unread_GE),
        square_G=sums["square"][:, 0],
    )


def _columns(routing: Routing, reads: frozenset[str]) -> dict[str, torch.Tensor]:
    """What is summed over tokens: (N, E) each, except `square`, which is (N, 1)."""
    logit_NE = routing.logit_NE
    normaliser_N1 = logit_NE.logsumexp(-1, keepdim=True)
    columns = {
        "square": normaliser_N1.square(),
        "probability": logit_NE.softmax(-1),
        "count": _visits(routing),
    }
    # Few balances look at these two, which would double the size of the product.
    if "importance" in reads:
        columns["importance"] = _spread(routing, routing.weight_NK)
    if "expected" in reads:
        columns["expected"] = expected_visits(routing)
    return columns


def members(valid_BT: torch.Tensor, task_B: torch.Tensor, num_tasks: int) -> torch.Tensor:
    """Which tokens are of which task (G, N): 1.0 or 0.0, and 0.0 for padding.

    >>> members(torch.tensor([[True, True], [True, False]]), torch.tensor([0, 1]), num_tasks=2)
    tensor([[1., 1., 0., 0.],
            [0., 0., 1., 0.]])
    """
    member_GB = F.one_hot(task_B, num_tasks).T.float()
    member_GBT = member_GB[..., None] * valid_BT
    return member_GBT.flatten(1)


def expected_visits(routing: Routing) -> torch.Tensor:
    """Probability (N, E) that a token visits an expert, were the noise of that one drawn again.

    Shazeer et al. 2017, Eq. 8-9. Without noise it is the choice itself, and not differentiable.

    >>> logit_NE = torch.tensor([[0.0, 1.0]])
    >>> weight_NK, expert_NK = logit_NE.softmax(-1).topk(1)
    >>> active_NK = torch.tensor([[True]])
    >>> expected_visits(Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE, noise=1.0))
    tensor([[0.1587, 0.8413]])
    """
    K = routing.expert_NK.shape[1]
    E = routing.logit_NE.shape[1]
    # Where every expert is chosen there is no threshold to pass.
    if routing.noise == 0 or K == E:
        return _visits(routing)

    noisy_NE = routing.noisy_NE
    top_NK1 = noisy_NE.topk(K + 1, dim=-1).values
    last_two_N2 = top_NK1[:, -2:]
    last_chosen_N1, first_left_N1 = last_two_N2.split(1, dim=1)
    # An expert competes with the K-th largest of the others: number K + 1 for one that is chosen.
    is_chosen_NE = noisy_NE >= last_chosen_N1
    threshold_NE = torch.where(is_chosen_NE, first_left_N1, last_chosen_N1)
    margin_NE = routing.logit_NE - threshold_NE
    return torch.special.ndtr(margin_NE / routing.noise)


def _visits(routing: Routing) -> torch.Tensor:
    return _spread(routing, routing.active_NK.float())


def _spread(routing: Routing, value_NK: torch.Tensor) -> torch.Tensor:
    """Values of choices in the columns (N, E) of their experts."""
    empty_NE = torch.zeros_like(routing.logit_NE)
    return empty_NE.scatter(1, routing.expert_NK, value_NK)
