"""Experts and routers against a loop over tokens."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.experts import FeedForwardExperts
from aio_toolkit.moe.layer import MoELayer, tabulate
from aio_toolkit.moe.router import TaskRouter


def reference(experts: FeedForwardExperts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """One token, one expert at a time."""
    rows = []
    for n, x_D in enumerate(x_ND):
        y_D = torch.zeros_like(x_D)
        for expert, weight in zip(routing.expert_NK[n].tolist(), routing.weight_NK[n], strict=True):
            y_D = y_D + weight * (F.gelu(x_D @ experts.w1_EDH[expert]) @ experts.w2_EHD[expert])
        rows.append(y_D)
    return torch.stack(rows)


def random_routing(N: int, E: int, K: int) -> Routing:
    probability_NE = torch.rand(N, E).softmax(-1)
    weight_NK, expert_NK = probability_NE.topk(K)
    return Routing(expert_NK, weight_NK.detach().requires_grad_(), probability_NE)


@pytest.mark.parametrize(("N", "E", "K"), [(1, 4, 2), (7, 3, 3), (33, 8, 2), (5, 16, 1)])
def test_output_and_gradients_equal_the_loop_over_tokens(N, E, K):
    torch.manual_seed(N)
    experts = FeedForwardExperts(16, 24, E)
    x_ND = torch.randn(N, 16, requires_grad=True)
    routing = random_routing(N, E, K)
    inputs = [x_ND, routing.weight_NK, experts.w1_EDH, experts.w2_EHD]
    weights_ND = torch.randn(N, 16)
    got, want = experts(x_ND, routing), reference(experts, x_ND, routing)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    got_grads = torch.autograd.grad((got * weights_ND).sum(), inputs)
    want_grads = torch.autograd.grad((want * weights_ND).sum(), inputs, allow_unused=True)
    for got_grad, want_grad in zip(got_grads, want_grads, strict=True):
        torch.testing.assert_close(got_grad, want_grad, atol=1e-5, rtol=1e-4)


def test_experts_nobody_chose_are_harmless():
    experts = FeedForwardExperts(8, 16, 5)
    routing = Routing(torch.full((3, 1), 2), torch.ones(3, 1), torch.full((3, 5), 0.2))
    x_ND = torch.randn(3, 8)
    torch.testing.assert_close(experts(x_ND, routing), reference(experts, x_ND, routing))


def test_each_token_is_routed_by_the_gate_of_its_task():
    router = TaskRouter(3, num_tasks=2, num_experts=4, top_k=1, noise=0.0).eval()
    with torch.no_grad():
        router.weight_GDE[0, :, 1] = 1.0
        router.weight_GDE[1, :, 3] = 1.0
    routing = router(torch.ones(4, 3), torch.tensor([0, 1, 1, 0]))
    assert routing.expert_NK[:, 0].tolist() == [1, 3, 3, 1]
    torch.testing.assert_close(routing.weight_NK, torch.ones(4, 1))


def test_gates_compute_in_float32_under_autocast():
    router = TaskRouter(8, 2, 4, 2, noise=0.0)
    torch.nn.init.normal_(router.weight_GDE)
    x_ND, task_N = torch.randn(50, 8), torch.randint(2, (50,))
    exact = router(x_ND, task_N)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = router(x_ND, task_N)
    assert mixed.probability_NE.dtype == torch.float32
    torch.testing.assert_close(mixed.probability_NE, exact.probability_NE, atol=0, rtol=0)


def test_noise_acts_in_training_only():
    router = TaskRouter(8, 1, 16, 2, noise=1.0)
    x_ND, task_N = torch.randn(64, 8), torch.zeros(64, dtype=torch.long)
    assert len(router.eval()(x_ND, task_N).expert_NK.unique()) == 2
    assert len(router.train()(x_ND, task_N).expert_NK.unique()) == 16


def test_padding_changes_neither_output_nor_table():
    torch.manual_seed(0)
    layer = MoELayer(8, 2, MoELayer.Config(num_experts=4, top_k=2, expert_hidden=8)).eval()
    torch.nn.init.normal_(layer.router.weight_GDE)
    x_BTD, task_B = torch.randn(2, 5, 8), torch.tensor([0, 1])
    whole = torch.ones(2, 5, dtype=torch.bool)
    y_BTD, table = layer(x_BTD, whole, task_B)
    padded_BTD = torch.cat([x_BTD, torch.full((2, 3, 8), 1e3)], 1)
    valid_BT = torch.cat([whole, torch.zeros(2, 3, dtype=torch.bool)], 1)
    z_BTD, padded_table = layer(padded_BTD, valid_BT, task_B)
    torch.testing.assert_close(z_BTD[:, :5], y_BTD)
    assert (z_BTD[:, 5:] == 0).all()
    torch.testing.assert_close(padded_table.load_GE, table.load_GE)
    torch.testing.assert_close(padded_table.probability_GE, table.probability_GE)


def test_the_table_equals_counting_by_hand():
    routing = random_routing(20, 5, 2)
    task_N = torch.randint(3, (20,))
    table = tabulate(routing, task_N, 4)
    assert table.present_G.tolist() == [g in task_N for g in range(4)]
    for g in range(4):
        mine = (task_N == g).nonzero()[:, 0].tolist()
        for e in range(5):
            chosen = [(routing.expert_NK[n] == e).sum().item() for n in mine]
            expected = sum(chosen) / (2 * len(mine)) if mine else 0.0
            assert table.load_GE[g, e].item() == pytest.approx(expected, abs=1e-6)


def test_widths_that_the_grouped_product_cannot_take_are_refused():
    with pytest.raises(AioError, match="multiples of 8"):
        FeedForwardExperts(12, 16, 4)
