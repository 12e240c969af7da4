"""Feed-forward experts against a loop over tokens: outputs and gradients."""

import pytest
import torch
import torch.nn.functional as F
from routings import check_against, one_expert, pairs, random_routing

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.experts.feed_forward import Activation, FeedForwardExperts


def make(width: int, ffn_width: int, E: int, activation: str = "gelu") -> FeedForwardExperts:
    config = FeedForwardExperts.Config(ffn_width, Activation[activation])
    return FeedForwardExperts(config, width, E)


def visit(experts: FeedForwardExperts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """The tokens as one row without padding."""
    valid_BT = torch.ones(1, len(x_ND), dtype=torch.bool)
    return experts(x_ND[None], valid_BT, routing)[0]


def loop(experts: FeedForwardExperts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """One token, one expert at a time."""
    rows = []
    for n, x_D in enumerate(x_ND):
        y_D = torch.zeros_like(x_D)
        for e, weight in pairs(routing, n):
            inner = x_D @ experts.w1_EDH[e]
            if experts.gated:
                half = len(inner) // 2
                inner = F.silu(inner[:half]) * inner[half:]
            else:
                inner = F.gelu(inner)
            y_D = y_D + weight * (inner @ experts.w2_EHD[e])
        rows.append(y_D)
    return torch.stack(rows)


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize("some_inactive", [False, True])
@pytest.mark.parametrize(("N", "E", "K"), [(1, 4, 2), (7, 3, 3), (33, 8, 2), (5, 16, 1)])
def test_experts_equal_the_loop_over_tokens(N, E, K, activation, some_inactive):
    torch.manual_seed(N)
    experts = make(16, 24, E, activation)
    x_ND = torch.randn(N, 16, requires_grad=True)
    routing = random_routing(N, E, K, some_inactive=some_inactive)
    inputs = [x_ND, routing.weight_NK, experts.w1_EDH, experts.w2_EHD]
    check_against(visit(experts, x_ND, routing), loop(experts, x_ND, routing), inputs)


@pytest.mark.parametrize("some_inactive", [False, True])
def test_in_bfloat16_experts_equal_the_loop_in_its_precision(some_inactive):
    torch.manual_seed(0)
    experts, x_ND = make(16, 24, 5), torch.randn(41, 16, requires_grad=True)
    routing = random_routing(41, 5, 3, some_inactive=some_inactive)
    with torch.autocast("cpu", torch.bfloat16):
        got_ND = visit(experts, x_ND, routing)
        want_ND = loop(experts, x_ND, routing)
    assert got_ND.dtype == torch.bfloat16
    torch.testing.assert_close(got_ND.float(), want_ND.float(), atol=0.01, rtol=0.02)
    inputs, factor_ND = [x_ND, experts.w1_EDH, experts.w2_EHD], torch.randn(41, 16)
    got = torch.autograd.grad((got_ND * factor_ND).sum(), inputs)
    want = torch.autograd.grad((want_ND * factor_ND).sum(), inputs)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, atol=0.02 * b.abs().max().item(), rtol=0.02)


def test_experts_nobody_chose_are_harmless():
    experts, routing = make(8, 16, 5), one_expert(2, N=3, E=5)
    x_ND = torch.randn(3, 8)
    torch.testing.assert_close(visit(experts, x_ND, routing), loop(experts, x_ND, routing))


def test_kept_experts_are_renumbered_in_the_given_order():
    torch.manual_seed(0)
    experts, x_ND = make(8, 16, 5), torch.randn(4, 8)
    before_ND = visit(experts, x_ND, one_expert(3, N=4, E=5))
    experts.keep([4, 3])
    assert experts.num_experts == 2
    torch.testing.assert_close(visit(experts, x_ND, one_expert(1, N=4, E=2)), before_ND)


def test_the_dense_twin_is_as_wide_as_one_expert():
    twin = FeedForwardExperts.dense_twin(FeedForwardExperts.Config(ffn_width=12), 8)
    assert (twin.w1.in_features, twin.w1.out_features) == (8, 12)


def test_widths_that_grouped_products_do_not_take_are_named():
    with pytest.raises(AioError, match="multiples of 8, not width = 12"):
        make(12, 16, 4)
    with pytest.raises(AioError, match="key 'ffn_width' must be .* a multiple of 8, not 12"):
        from_values(FeedForwardExperts.Config, {"ffn_width": 12}, "train.yaml")


def test_an_unknown_activation_is_named_with_those_that_exist():
    with pytest.raises(AioError, match="activation.*relu.*gelu, swiglu"):
        from_values(FeedForwardExperts.Config, {"activation": "relu"}, "train.yaml")
