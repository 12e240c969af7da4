"""Dispatch: every pair has its row, moves are exact, and the private operator has a plain twin."""

import dataclasses

import pytest
import torch
from routings import check_against, pairs, random_routing

from aio_toolkit.moe import dispatch as module
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.dispatch import dispatch


@pytest.mark.parametrize("some_inactive", [False, True])
@pytest.mark.parametrize(("dtype", "align"), [(torch.float32, 8), (torch.bfloat16, 64)])
def test_rows_hold_each_experts_tokens_in_order_and_then_padding(some_inactive, dtype, align):
    torch.manual_seed(0)
    N, E = 37, 5
    routing = random_routing(N, E, 2, some_inactive=some_inactive)
    plan = dispatch(routing, E, dtype)
    start = 0
    for expert, end in enumerate(plan.ends_E.tolist()):
        visitors = [n for n in range(N) if expert in dict(pairs(routing, n))]
        real = start + len(visitors)
        assert plan.token_R[start:real].tolist() == visitors
        assert plan.is_real_R[start:end].tolist() == [1.0] * len(visitors) + [0.0] * (end - real)
        assert end % align == 0
        assert end - real < align
        start = end
    assert len(plan.slot_R) == start


def test_a_slot_and_its_row_name_each_other():
    torch.manual_seed(0)
    routing = random_routing(20, 4, 3, some_inactive=True)
    plan = dispatch(routing, 4, torch.float32)
    slot_NK = torch.arange(60).view(20, 3)
    assert torch.equal(plan.slot_R[plan.row_NK][routing.active_NK], slot_NK[routing.active_NK])


def make() -> tuple[Routing, module.Dispatch]:
    torch.manual_seed(0)
    routing = random_routing(13, 4, 3, some_inactive=True)
    return routing, dispatch(routing, 4, torch.float32)


def test_scattering_equals_indexing_with_its_gradient():
    _, plan = make()
    x_ND, real_R = torch.randn(13, 8, requires_grad=True), plan.is_real_R.bool()
    check_against(plan.scatter(x_ND)[real_R], x_ND[plan.token_R[real_R]], [x_ND])


def test_combining_equals_a_weighted_sum_with_its_gradient():
    routing, plan = make()
    y_RD = torch.randn(len(plan.slot_R), 8, requires_grad=True)
    # The weight of a choice that is not active gets no gradient.
    weight_NK = routing.weight_NK * routing.active_NK
    want_ND = (y_RD[plan.row_NK] * weight_NK[..., None]).sum(1)
    got_ND = plan.combine(y_RD, routing.weight_NK)
    check_against(got_ND, want_ND, [y_RD, routing.weight_NK])


def test_rows_go_to_their_slots_and_back_with_exact_gradients():
    routing, plan = make()
    y_RX = torch.randn(len(plan.slot_R), 6, requires_grad=True)
    check_against(plan.to_slots(y_RX), y_RX[plan.row_NK] * routing.active_NK[..., None], [y_RX])
    x_NKX, real_R = torch.randn(13, 3, 6, requires_grad=True), plan.is_real_R.bool()
    want_RX = x_NKX.flatten(0, 1)[plan.slot_R[real_R]]
    check_against(plan.from_slots(x_NKX)[real_R], want_RX, [x_NKX])


def test_rows_of_padding_get_no_gradient():
    routing, plan = make()
    y_RD = torch.randn(len(plan.slot_R), 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(plan.combine(y_RD, routing.weight_NK).sum(), y_RD)
    assert not gradient[plan.is_real_R == 0].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_products_agree_with_the_private_operator(dtype):
    assert module._BAG_WEIGHTS_BACKWARD is not None, "torch lacks it: only the plain path is left"
    _, plan = make()
    x_ND, y_RD = torch.randn(13, 8, dtype=dtype), torch.randn(len(plan.slot_R), 8, dtype=dtype)
    tolerance = (
        {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.02}
    )
    got_NK, want_NK = plan.plain_products(x_ND, y_RD), plan.products(x_ND, y_RD)
    torch.testing.assert_close(got_NK.float(), want_NK.float(), **tolerance)
    assert not got_NK[~plan.is_active_NK.bool()].any()


def test_where_torch_lacks_the_private_operator_weights_get_the_same_gradient(monkeypatch):
    routing, plan = make()
    y_RD, factor_ND = torch.randn(len(plan.slot_R), 8), torch.randn(13, 8)

    def gradient() -> torch.Tensor:
        combined_ND = plan.combine(y_RD, routing.weight_NK)
        return torch.autograd.grad((combined_ND * factor_ND).sum(), routing.weight_NK)[0]

    with_operator = gradient()
    monkeypatch.setattr(module, "_BAG_WEIGHTS_BACKWARD", None)
    torch.testing.assert_close(gradient(), with_operator)


def test_the_private_operator_is_for_cpus_alone_since_a_gpu_has_none_for_bfloat16(monkeypatch):
    def fail(*arguments: object) -> None:
        raise AssertionError("called for another device")

    monkeypatch.setattr(module, "_BAG_WEIGHTS_BACKWARD", fail)
    _, plan = make()
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        if isinstance(value, torch.Tensor):
            setattr(plan, field.name, value.to("meta"))
    x_ND, y_RD = torch.empty(13, 8, device="meta"), torch.empty(len(plan.slot_R), 8, device="meta")
    assert plan.products(x_ND, y_RD).shape == (13, 3)
