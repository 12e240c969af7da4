"""Random routings for tests of the Mixture of Experts, and the slow way to read them."""

import torch

from aio_toolkit.moe.base import Routing, RoutingTable


def random_routing(N: int, E: int, K: int, *, some_inactive: bool = False) -> Routing:
    """Tokens that visit their K best experts, or a random part of these."""
    logit_NE = torch.randn(N, E)
    weight_NK, expert_NK = logit_NE.softmax(-1).topk(K)
    active_NK = torch.rand(N, K) < (0.6 if some_inactive else 1.0)
    weight_NK = (weight_NK * active_NK).detach().requires_grad_()
    return Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE)


def noisy_routing(N: int, E: int, K: int, noise: float = 0.0) -> Routing:
    """Tokens that visit the K best experts of noisy logits, weights renormalised."""
    generator = torch.Generator().manual_seed(0)
    logit_NE = torch.randn(N, E, generator=generator)
    noisy_NE = logit_NE + noise * torch.randn(N, E, generator=generator)
    weight_NK, expert_NK = noisy_NE.softmax(-1).topk(K)
    weight_NK = weight_NK / weight_NK.sum(1, keepdim=True)
    active_NK = torch.ones(N, K, dtype=torch.bool)
    return Routing(expert_NK, weight_NK, active_NK, logit_NE, noisy_NE, noise)


def one_expert(expert: int, N: int, E: int) -> Routing:
    """Tokens that all visit the same expert with weight one."""
    logit_NE, active_NK = torch.zeros(N, E), torch.ones(N, 1, dtype=torch.bool)
    return Routing(torch.full((N, 1), expert), torch.ones(N, 1), active_NK, logit_NE, logit_NE)


def pairs(routing: Routing, n: int) -> list[tuple[int, torch.Tensor]]:
    """Expert and weight of each active choice of token n."""
    experts = routing.expert_NK[n].tolist()
    weights, is_active = routing.weight_NK[n], routing.active_NK[n].tolist()
    choices = zip(experts, weights, is_active, strict=True)
    return [(expert, weight) for expert, weight, counts in choices if counts]


def table_of(probability_GE: torch.Tensor, tokens_G: torch.Tensor | None = None) -> RoutingTable:
    """A table of probabilities alone, with one token a task unless told otherwise."""
    tokens_G = torch.ones(len(probability_GE)) if tokens_G is None else tokens_G
    zero_GE, zero_G = torch.zeros_like(probability_GE), torch.zeros_like(tokens_G)
    return RoutingTable(tokens_G, zero_GE, probability_GE, zero_GE, zero_GE, zero_G)


def counts_of(count_GE: torch.Tensor) -> RoutingTable:
    """A table whose columns of experts are all these counts, with one visit a token."""
    return RoutingTable(count_GE.sum(1), *[count_GE] * 4, torch.zeros(len(count_GE)))


def check_against(got: torch.Tensor, want: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """Values and gradients within 1e-5; an input that `want` never read has a gradient of zero."""
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    weights_ND = torch.randn_like(got)
    got_grads = torch.autograd.grad((got * weights_ND).sum(), inputs)
    want_grads = torch.autograd.grad((want * weights_ND).sum(), inputs, allow_unused=True)
    for got_grad, want_grad in zip(got_grads, want_grads, strict=True):
        want_grad = torch.zeros_like(got_grad) if want_grad is None else want_grad
        torch.testing.assert_close(got_grad, want_grad, atol=1e-5, rtol=1e-5)
