"""Experts against a loop over tokens: outputs and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.encoders.layers import rotary_angles, rotate
from aio_toolkit.errors import AioError
from aio_toolkit.moe.attention import AttentionExperts
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.experts import FeedForwardExperts
from aio_toolkit.moe.layer import AttentionConfig, MoEAttention, MoEConfig, MoEFeedForward, tabulate
from aio_toolkit.moe.router import RouterConfig


def random_routing(N: int, E: int, K: int, some_inactive: bool = False) -> Routing:
    logit_NE = torch.randn(N, E)
    weight_NK, expert_NK = logit_NE.softmax(-1).topk(K)
    active_NK = torch.rand(N, K) < (0.6 if some_inactive else 1.0)
    weight_NK = (weight_NK * active_NK).detach().requires_grad_()
    return Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE)


def pairs(routing: Routing, n: int):
    """Expert and weight of each active choice of token n."""
    choices = zip(routing.expert_NK[n].tolist(), routing.weight_NK[n], routing.active_NK[n].tolist(), strict=True)
    return [(expert, weight) for expert, weight, is_active in choices if is_active]


def feed_forward_loop(experts: FeedForwardExperts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """One token, one expert at a time."""
    rows = []
    for n, x_D in enumerate(x_ND):
        y_D = torch.zeros_like(x_D)
        for e, weight in pairs(routing, n):
            hidden = x_D @ experts.w1_EDH[e]
            if experts.gated:
                half = len(hidden) // 2
                hidden = F.silu(hidden[:half]) * hidden[half:]
            else:
                hidden = F.gelu(hidden)
            y_D = y_D + weight * (hidden @ experts.w2_EHD[e])
        rows.append(y_D)
    return torch.stack(rows)


def check_against(got: torch.Tensor, want: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """Values and gradients within 1e-5."""
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    weights_ND = torch.randn_like(got)
    got_grads = torch.autograd.grad((got * weights_ND).sum(), inputs)
    want_grads = torch.autograd.grad((want * weights_ND).sum(), inputs, allow_unused=True)
    for got_grad, want_grad in zip(got_grads, want_grads, strict=True):
        want_grad = torch.zeros_like(got_grad) if want_grad is None else want_grad
        torch.testing.assert_close(got_grad, want_grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize("some_inactive", [False, True])
@pytest.mark.parametrize(("N", "E", "K"), [(1, 4, 2), (7, 3, 3), (33, 8, 2), (5, 16, 1)])
def test_feed_forward_experts_equal_the_loop_over_tokens(N, E, K, activation, some_inactive):
    torch.manual_seed(N)
    experts = FeedForwardExperts(16, 24, E, activation)
    x_ND = torch.randn(N, 16, requires_grad=True)
    routing = random_routing(N, E, K, some_inactive)
    inputs = [x_ND, routing.weight_NK, experts.w1_EDH, experts.w2_EHD]
    check_against(experts(x_ND, routing), feed_forward_loop(experts, x_ND, routing), inputs)


def attention_loop(experts: AttentionExperts, x_BTD, valid_BT, routing: Routing) -> torch.Tensor:
    """One frame, one head at a time, with attention written out."""
    B, T = valid_BT.shape
    C = experts.query_EDC.shape[2]
    cos_TC, sin_TC = rotary_angles(T, C, x_BTD.device)
    rows = []
    for b in range(B):
        key_TC, value_TC = (x_BTD[b] @ experts.key_value.weight.T + experts.key_value.bias).split(C, dim=1)
        turned_TC = rotate(key_TC[None, None], cos_TC, sin_TC)[0, 0]
        for t in range(T):
            y_D = torch.zeros(x_BTD.shape[2])
            for e, weight in pairs(routing, b * T + t):
                query_C = rotate((x_BTD[b, t] @ experts.query_EDC[e])[None, None, None], cos_TC[t], sin_TC[t])[0, 0, 0]
                scores = [query_C @ turned_TC[s] / math.sqrt(C) for s in range(T) if valid_BT[b, s]]
                values = [value_TC[s] for s in range(T) if valid_BT[b, s]]
                shares = torch.stack(scores).softmax(0)
                seen_C = sum(share * value for share, value in zip(shares, values, strict=True))
                y_D = y_D + weight * (seen_C @ experts.out_ECD[e])
            rows.append(y_D)
    return torch.stack(rows)


@pytest.mark.parametrize("some_inactive", [False, True])
@pytest.mark.parametrize(("E", "K"), [(4, 2), (3, 3), (8, 1)])
def test_attention_experts_equal_the_loop_over_frames(E, K, some_inactive):
    torch.manual_seed(E)
    experts = AttentionExperts(16, 8, E)
    x_BTD = torch.randn(2, 5, 16, requires_grad=True)
    valid_BT = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    routing = random_routing(10, E, K, some_inactive)
    got = experts(x_BTD, valid_BT, routing)
    inputs = [x_BTD, routing.weight_NK, experts.query_EDC, experts.out_ECD, *experts.key_value.parameters()]
    check_against(got, attention_loop(experts, x_BTD, valid_BT, routing), inputs)


def test_experts_nobody_chose_are_harmless():
    experts = FeedForwardExperts(8, 16, 5)
    logit_NE = torch.zeros(3, 5)
    routing = Routing(torch.full((3, 1), 2), torch.ones(3, 1), torch.ones(3, 1, dtype=torch.bool), logit_NE, logit_NE)
    x_ND = torch.randn(3, 8)
    torch.testing.assert_close(experts(x_ND, routing), feed_forward_loop(experts, x_ND, routing))


def make_layer(kind: str, **options):
    config = MoEConfig(
        num_experts=4,
        top_k=2,
        expert_hidden=8,
        attention=AttentionConfig(num_experts=4, top_k=2, head_width=8),
        router=RouterConfig(noise=0.0),
        **options,
    )
    layer = (MoEFeedForward if kind == "feed_forward" else MoEAttention)(8, 2, config)
    for gate in layer.router.gates_DE:
        torch.nn.init.normal_(gate)
    return layer


@pytest.mark.parametrize("kind", ["feed_forward", "attention"])
def test_padding_changes_neither_output_nor_table(kind):
    torch.manual_seed(0)
    layer = make_layer(kind)
    x_BTD, task_B = torch.randn(2, 5, 8), torch.tensor([0, 1])
    whole = torch.ones(2, 5, dtype=torch.bool)
    y_BTD, table = layer(x_BTD, whole, task_B)
    padded_BTD = torch.cat([x_BTD, torch.full((2, 3, 8), 1e3)], 1)
    valid_BT = torch.cat([whole, torch.zeros(2, 3, dtype=torch.bool)], 1)
    z_BTD, padded_table = layer(padded_BTD, valid_BT, task_B)
    torch.testing.assert_close(z_BTD[:, :5], y_BTD)
    assert (z_BTD[:, 5:] == 0).all()
    for got, want in zip(vars(padded_table).values(), vars(table).values(), strict=True):
        torch.testing.assert_close(got, want)


def test_the_shared_expert_is_visited_by_every_frame():
    torch.manual_seed(0)
    layer = make_layer("feed_forward", shared_hidden=16)
    x_BTD, valid_BT, task_B = torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool), torch.tensor([0])
    y_BTD, _ = layer(x_BTD, valid_BT, task_B)
    shared, layer.shared = layer.shared, None
    without_BTD, _ = layer(x_BTD, valid_BT, task_B)
    torch.testing.assert_close(y_BTD, without_BTD + shared(x_BTD))


@pytest.mark.parametrize("some_inactive", [False, True])
def test_the_table_equals_counting_by_hand(some_inactive):
    routing = random_routing(20, 5, 2, some_inactive)
    task_N = torch.randint(3, (20,))
    table = tabulate(routing, F.one_hot(task_N, 4).T.float(), importance_load=True)
    for g in range(4):
        mine = (task_N == g).nonzero()[:, 0].tolist()
        assert table.tokens_G[g] == len(mine)
        for e in range(5):
            visits = [weight.item() for n in mine for expert, weight in pairs(routing, n) if expert == e]
            assert table.count_GE[g, e] == len(visits)
            assert table.importance_GE[g, e].item() == pytest.approx(sum(visits), abs=1e-5)
            total = sum(routing.logit_NE[n].softmax(0)[e].item() for n in mine)
            assert table.probability_GE[g, e].item() == pytest.approx(total, abs=1e-5)


def test_tables_of_parts_add_up_to_the_table_of_the_whole():
    routing, member_GN = random_routing(20, 5, 2), F.one_hot(torch.randint(3, (20,)), 3).T.float()

    def part(kept: slice):
        fields = (routing.expert_NK, routing.weight_NK, routing.active_NK, routing.logit_NE, routing.noisy_NE)
        return tabulate(Routing(*(field[kept] for field in fields)), member_GN[:, kept], importance_load=True)

    added = part(slice(0, 8)) + part(slice(8, 20))
    whole = tabulate(routing, member_GN, importance_load=True)
    for got, want in zip(vars(added).values(), vars(whole).values(), strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FeedForwardExperts(12, 16, 4), "multiples of 8, not moe.width = 12"),
        (lambda: FeedForwardExperts(16, 12, 4), "multiples of 8, not moe.expert_hidden = 12"),
        (lambda: AttentionExperts(16, 12, 4), "multiples of 8, not moe.head_width = 12"),
        (lambda: FeedForwardExperts(16, 16, 4, "relu"), "unknown moe.activation 'relu'. Choose one of: gelu, swiglu"),
    ],
)
def test_what_cannot_be_is_named(make, message):
    with pytest.raises(AioError, match=message):
        make()


@pytest.mark.parametrize("kind", ["feed_forward", "attention"])
def test_layers_compile(kind):
    """In bfloat16: the compiler's grouped product knows no other type."""
    torch.manual_seed(0)
    layer = make_layer(kind)
    x_BTD, task_B = torch.randn(2, 5, 8, requires_grad=True), torch.tensor([0, 1])
    valid_BT = torch.ones(2, 5, dtype=torch.bool)
    valid_BT[1, 3:] = False
    inputs = [x_BTD, *layer.parameters()]
    torch._dynamo.reset()
    with torch.autocast("cpu", torch.bfloat16):
        want, table = layer(x_BTD, valid_BT, task_B)
        got, compiled_table = torch.compile(layer, backend="aot_eager")(x_BTD, valid_BT, task_B)
    torch.testing.assert_close(got, want)
    assert torch.equal(compiled_table.count_GE, table.count_GE)
    # The compiled backward pass keeps more of its steps in bfloat16.
    for compiled, eager in zip(*(torch.autograd.grad(y.sin().sum(), inputs) for y in (got, want)), strict=True):
        torch.testing.assert_close(compiled, eager, atol=0.02 * eager.abs().max().item(), rtol=0)
