"""Balance losses against their definitions, loops over tokens, and their known extremes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.errors import AioError
from aio_toolkit.moe.balance import (
    BalanceConfig,
    build_balance,
    expected_visits,
    importance_load_loss,
    mutual_information,
    switch_loss,
    update_bias,
    z_loss,
)
from aio_toolkit.moe.base import Routing, RoutingTable
from aio_toolkit.moe.layer import tabulate


def table(probability_GE: torch.Tensor, tokens_G: torch.Tensor | None = None) -> RoutingTable:
    """A table with one token a task, unless told otherwise."""
    tokens_G = torch.ones(len(probability_GE)) if tokens_G is None else tokens_G
    zero_GE = torch.zeros_like(probability_GE)
    return RoutingTable(tokens_G, zero_GE, probability_GE, zero_GE, zero_GE, torch.zeros_like(tokens_G))


def routed(N: int, E: int, K: int, noise: float = 0.0, seed: int = 0) -> Routing:
    generator = torch.Generator().manual_seed(seed)
    logit_NE = torch.randn(N, E, generator=generator)
    noisy_NE = logit_NE + noise * torch.randn(N, E, generator=generator)
    weight_NK, expert_NK = noisy_NE.softmax(-1).topk(K)
    weight_NK, active_NK = weight_NK / weight_NK.sum(1, keepdim=True), torch.ones(N, K, dtype=torch.bool)
    return Routing(expert_NK, weight_NK, active_NK, logit_NE, noisy_NE, noise)


def random_members(G: int, N: int) -> torch.Tensor:
    """Tokens (G, N) of random tasks."""
    return F.one_hot(torch.randint(G, (N,)), G).T.float()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 10**6))
def test_information_is_entropy_of_the_mean_minus_mean_entropy(G, E, seed):
    rows = torch.rand(G, E, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows = rows / rows.sum(1, keepdim=True)

    def entropy(p):
        return -sum(x * math.log(x) for x in p.tolist() if x > 0)

    expected = entropy(rows.mean(0)) - sum(entropy(row) for row in rows) / G
    assert mutual_information(table(rows)).item() == pytest.approx(expected, abs=1e-9)


def test_information_is_log_tasks_when_every_task_has_its_own_expert():
    assert mutual_information(table(torch.eye(4))).item() == pytest.approx(math.log(4), abs=1e-6)


def test_information_is_zero_for_a_single_task_and_for_equal_tasks():
    assert mutual_information(table(torch.tensor([[0.9, 0.1]]))).item() == pytest.approx(0, abs=1e-7)
    assert mutual_information(table(torch.full((3, 4), 0.25))).item() == pytest.approx(0, abs=1e-7)


def test_information_weighs_tasks_equally_however_many_tokens_they_have_and_ignores_absent_ones():
    rows = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.0, 0.0]])
    tokens_G = torch.tensor([5.0, 70.0, 0.0])
    uneven = mutual_information(table(rows * tokens_G[:, None], tokens_G))
    torch.testing.assert_close(uneven, mutual_information(table(rows[:2])))


def test_descending_on_the_information_specialises_experts():
    torch.manual_seed(0)
    balance = build_balance(BalanceConfig())
    logits = torch.randn(3, 6).mul(0.01).requires_grad_()
    for _ in range(300):
        (gradient,) = torch.autograd.grad(balance(table(logits.softmax(-1))), logits)
        logits.data -= 3.0 * gradient
    assert mutual_information(table(logits.softmax(-1))).item() > 0.9 * math.log(3)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_importance_and_load_equal_a_loop_over_tokens(noise):
    N, E, K = 23, 6, 2
    routing = routed(N, E, K, noise)
    importance, load = np.zeros(E), np.zeros(E)
    for n in range(N):
        noisy = routing.noisy_NE[n].tolist()
        for k in range(K):
            importance[routing.expert_NK[n, k]] += routing.weight_NK[n, k].item()
        for e in range(E):
            if noise:
                kth_of_the_others = sorted((x for i, x in enumerate(noisy) if i != e), reverse=True)[K - 1]
                z = (routing.logit_NE[n, e].item() - kth_of_the_others) / noise
                load[e] += 0.5 * (1 + math.erf(z / math.sqrt(2)))
            else:
                load[e] += e in routing.expert_NK[n]
    expected = importance.var() / importance.mean() ** 2 + load.var() / load.mean() ** 2
    got = importance_load_loss(tabulate(routing, random_members(3, N), importance_load=True))
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_the_load_is_what_drawing_the_noise_again_gives():
    torch.manual_seed(0)
    N, E, K, noise = 4, 5, 2, 0.5
    routing = routed(N, E, K, noise)
    expected_NE, visits_NE = expected_visits(routing), torch.zeros(N, E)
    for e in range(E):
        noisy_RNE = routing.noisy_NE.repeat(20000, 1, 1)
        noisy_RNE[..., e] = routing.logit_NE[:, e] + noise * torch.randn(20000, N)
        visits_NE[:, e] = (noisy_RNE.topk(K).indices == e).any(-1).float().mean(0)
    torch.testing.assert_close(expected_NE, visits_NE, atol=0.015, rtol=0)


def test_switch_and_z_loss_equal_their_formulas():
    N, E, K = 40, 7, 2
    routing = routed(N, E, K)
    of = tabulate(routing, random_members(2, N))
    share_E = torch.bincount(routing.expert_NK.flatten(), minlength=E) / (N * K)
    expected = E * (share_E * routing.logit_NE.softmax(-1).mean(0)).sum()
    torch.testing.assert_close(switch_loss(of), expected)
    torch.testing.assert_close(z_loss(of), routing.logit_NE.exp().sum(1).log().square().mean())
    both = build_balance(BalanceConfig(kind="switch", z_weight=0.5))(of)
    torch.testing.assert_close(both, switch_loss(of) + 0.5 * z_loss(of))


def test_switch_is_one_when_even_and_the_number_of_experts_when_collapsed():
    even = RoutingTable(*[torch.ones(1), *[torch.full((1, 4), 0.25)] * 4, torch.zeros(1)])
    assert switch_loss(even).item() == pytest.approx(1)
    one = torch.tensor([[1.0, 0, 0, 0]])
    assert switch_loss(RoutingTable(torch.ones(1), one, one, one, one, torch.zeros(1))).item() == pytest.approx(4)


def test_the_bias_evens_out_a_lopsided_router():
    """Experts with large logits win all tokens at first; the bias alone spreads them."""
    torch.manual_seed(0)
    E, K = 8, 2
    logit_NE = torch.randn(2000, E) + 0.3 * torch.arange(E)
    bias_E, counts = torch.zeros(E), []
    for _ in range(600):
        expert_NK = (logit_NE.softmax(-1) + bias_E).topk(K).indices
        counts_GE = torch.bincount(expert_NK.flatten(), minlength=E).float()[None]
        counts.append(counts_GE[0])
        update_bias(bias_E, RoutingTable(torch.ones(1), *[counts_GE] * 4, torch.ones(1)), 5e-4)
    assert counts[0].max() > 2 * counts[0].mean()
    settled_E = torch.stack(counts[-50:]).mean(0)
    torch.testing.assert_close(settled_E, torch.full((E,), 2000 * K / E), rtol=0.05, atol=0)


def test_kinds_without_a_loss_and_unknown_kinds():
    assert build_balance(BalanceConfig(kind="bias")) is None
    assert build_balance(BalanceConfig(kind="none")) is None
    with pytest.raises(AioError, match="unknown moe.balance.kind 'swich'. Choose one of: mutual_information, "):
        build_balance(BalanceConfig(kind="swich"))
