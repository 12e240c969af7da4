"""Routers: who is chosen, with what weight, and what never counts."""

import pytest
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.router import ROUTERS, RouterConfig, build_router

QUIET = {"noise": 0.0}


def route(made, x_ND: torch.Tensor, task_N: torch.Tensor):
    """Every token as a row of its own, with padding behind it, which goes nowhere."""
    x_BTD = torch.stack([x_ND, torch.full_like(x_ND, 1e3)], dim=1)
    routing = made(x_BTD, task_N, torch.tensor([True, False]).expand(len(x_ND), 2))
    assert not routing.active_NK[1::2].any()
    assert (routing.weight_NK[1::2] == 0).all()
    fields = (routing.expert_NK, routing.weight_NK, routing.active_NK, routing.logit_NE, routing.noisy_NE)
    return Routing(*(field[::2] for field in fields))


def router(kind="per_task", num_tasks=2, num_experts=4, top_k=2, width=8, **options):
    made = build_router(width, num_tasks, num_experts, top_k, RouterConfig(kind=kind, **{**QUIET, **options}))
    torch.manual_seed(1)
    for name, parameter in made.named_parameters():
        if "DE" in name:
            torch.nn.init.normal_(parameter)
    return made


@pytest.mark.parametrize("kind", ROUTERS)
def test_logits_equal_a_loop_over_tokens(kind):
    made = router(kind)
    x_ND, task_N = torch.randn(9, 8), torch.randint(2, (9,))
    rows = []
    for x_D, task in zip(x_ND, task_N.tolist(), strict=True):
        if kind == "shared":
            rows.append(x_D @ made.gate_DE)
        elif kind == "per_task":
            rows.append(x_D @ made.gates_DE[task])
        else:
            rows.append(torch.cat([x_D, made.tasks_C[task]]) @ made.gate_DE)
    torch.testing.assert_close(route(made, x_ND, task_N).logit_NE, torch.stack(rows), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ROUTERS)
def test_gates_start_at_zero(kind):
    made = build_router(8, 2, 4, 2, RouterConfig(kind=kind, noise=0.0))
    assert (route(made, torch.randn(5, 8), torch.zeros(5, dtype=torch.long)).logit_NE == 0).all()


@pytest.mark.parametrize("kind", ROUTERS)
def test_only_routers_that_know_the_task_send_a_token_elsewhere_for_it(kind):
    made, x_ND = router(kind, num_experts=16), torch.randn(40, 8)
    choices = [route(made, x_ND, torch.full((40,), task)).expert_NK for task in range(2)]
    assert torch.equal(*choices) == (kind == "shared")


def test_renormalised_weights_sum_to_one_and_raw_ones_are_the_gates_probabilities():
    x_ND, task_N = torch.randn(20, 8), torch.randint(2, (20,))
    whole, raw = route(router(), x_ND, task_N), route(router(renormalise=False), x_ND, task_N)
    torch.testing.assert_close(whole.weight_NK.sum(1), torch.ones(20))
    probability_NE = raw.logit_NE.softmax(-1)
    torch.testing.assert_close(raw.weight_NK, probability_NE.gather(1, raw.expert_NK))
    assert (raw.weight_NK.sum(1) < 1).all()


def test_top_p_takes_the_fewest_experts_that_reach_the_sum():
    made = router(num_experts=8, top_k=5, top_p=0.7)
    x_ND, task_N = 0.5 * torch.randn(60, 8), torch.randint(2, (60,))
    routing = route(made, x_ND, task_N)
    for n, probability_E in enumerate(routing.logit_NE.softmax(-1)):
        order, total, wanted = probability_E.argsort(descending=True).tolist(), 0.0, []
        for expert in order[:5]:
            if total >= 0.7:
                break
            wanted.append(expert)
            total += probability_E[expert].item()
        assert routing.expert_NK[n][routing.active_NK[n]].tolist() == wanted
    assert len(routing.active_NK.sum(1).unique()) > 1
    assert (routing.weight_NK[~routing.active_NK] == 0).all()
    torch.testing.assert_close(routing.weight_NK.sum(1), torch.ones(60))


def test_the_bias_moves_the_choice_and_not_the_weights():
    made = router(renormalise=False)
    x_ND, task_N = torch.randn(30, 8), torch.randint(2, (30,))
    made.bias_E[3] = 10.0
    routing = route(made, x_ND, task_N)
    assert (routing.expert_NK == 3).any(1).all()
    torch.testing.assert_close(routing.weight_NK, routing.logit_NE.softmax(-1).gather(1, routing.expert_NK))


def test_gates_compute_in_float32_under_autocast():
    made, x_ND, task_N = router(), torch.randn(50, 8), torch.randint(2, (50,))
    exact = route(made, x_ND, task_N)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = route(made, x_ND, task_N)
    assert mixed.logit_NE.dtype == torch.float32
    torch.testing.assert_close(mixed.logit_NE, exact.logit_NE, atol=0, rtol=0)


def test_noise_acts_in_training_only():
    made = build_router(8, 1, 16, 2, RouterConfig(noise=1.0))
    x_ND, task_N = torch.randn(64, 8), torch.zeros(64, dtype=torch.long)
    assert len(route(made.eval(), x_ND, task_N).expert_NK.unique()) == 2
    assert len(route(made.train(), x_ND, task_N).expert_NK.unique()) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gate"}, "unknown moe.router.kind 'gate'. Choose one of: per_task, shared, task_conditioned"),
        ({"top_k": 5}, "moe.top_k 5 is not between 1 and the number of experts, 4"),
        ({"top_p": 1.5}, r"moe.router.top_p 1.5 is not in \(0, 1\]"),
    ],
)
def test_what_cannot_be_is_named(options, message):
    with pytest.raises(AioError, match=message):
        router(**options)
