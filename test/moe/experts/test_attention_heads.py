"""Attention experts against a loop over frames: outputs and gradients."""

import math

import pytest
import torch
from routings import check_against, one_expert, pairs, random_routing

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.layers import rotary_angles, rotate
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.experts.attention_heads import AttentionHeads


def make(width: int, head_width: int, E: int) -> AttentionHeads:
    return AttentionHeads(AttentionHeads.Config(head_width), width, E)


def loop(experts: AttentionHeads, x_BTD, valid_BT, routing: Routing) -> torch.Tensor:
    """One frame, one head at a time, with attention written out."""
    B, T = valid_BT.shape
    C = experts.query_EDC.shape[2]
    cos_TC, sin_TC = rotary_angles(T, C, x_BTD.device)
    rows = []
    for b in range(B):
        key_TC, value_TC = experts.key_value(x_BTD[b]).split(C, dim=1)
        turned_TC = rotate(key_TC[None, None], cos_TC, sin_TC)[0, 0]
        real = [t for t in range(T) if valid_BT[b, t]]
        for t in range(T):
            y_D = torch.zeros(x_BTD.shape[2])
            for e, weight in pairs(routing, b * T + t):
                query_111C = (x_BTD[b, t] @ experts.query_EDC[e])[None, None, None]
                query_C = rotate(query_111C, cos_TC[t], sin_TC[t])[0, 0, 0]
                scores = [query_C @ turned_TC[s] / math.sqrt(C) for s in real]
                shares = torch.stack(scores).softmax(0)
                seen_C = sum(share * value_TC[s] for share, s in zip(shares, real, strict=True))
                y_D = y_D + weight * (seen_C @ experts.out_ECD[e])
            rows.append(y_D)
    return torch.stack(rows).view_as(x_BTD)


@pytest.mark.parametrize("some_inactive", [False, True])
@pytest.mark.parametrize(("E", "K"), [(4, 2), (3, 3), (8, 1)])
def test_heads_equal_the_loop_over_frames(E, K, some_inactive):
    torch.manual_seed(E)
    experts = make(16, 8, E)
    x_BTD = torch.randn(2, 5, 16, requires_grad=True)
    valid_BT = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    routing = random_routing(10, E, K, some_inactive=some_inactive)
    got = experts(x_BTD, valid_BT, routing)
    parameters = [experts.query_EDC, experts.out_ECD, *experts.key_value.parameters()]
    inputs = [x_BTD, routing.weight_NK, *parameters]
    check_against(got, loop(experts, x_BTD, valid_BT, routing), inputs)


def test_kept_heads_are_renumbered_and_share_their_keys_as_before():
    torch.manual_seed(0)
    experts, x_BTD = make(8, 8, 5), torch.randn(1, 4, 8)
    valid_BT = torch.ones(1, 4, dtype=torch.bool)
    before_BTD = experts(x_BTD, valid_BT, one_expert(3, N=4, E=5))
    experts.keep([4, 3])
    assert experts.num_experts == 2
    after_BTD = experts(x_BTD, valid_BT, one_expert(1, N=4, E=2))
    torch.testing.assert_close(after_BTD, before_BTD)


def test_widths_that_grouped_products_do_not_take_are_named():
    with pytest.raises(AioError, match="multiples of 8, not width = 12"):
        make(12, 16, 4)
    with pytest.raises(AioError, match="key 'head_width' must be .* a multiple of 8, not 12"):
        from_values(AttentionHeads.Config, {"head_width": 12}, "train.yaml")
