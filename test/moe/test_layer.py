"""The MoE layer: padding, shared expert, surgery, size, and parts that only keep their contract."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.config import from_values
from aio_toolkit.layers import count_parameters
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.balances.mutual_information import MutualInformation
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.experts.base import Experts
from aio_toolkit.moe.experts.feed_forward import FeedForwardExperts
from aio_toolkit.moe.layer import MoELayer
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.moe.routers.base import Router, RouterSizes
from aio_toolkit.moe.routers.shared import SharedRouter

PLACES = ("feed_forward", "attention")
SIZES = RouterSizes(width=8, num_tasks=2, num_experts=4, top_k=2)


def make(place: str, router: str = "per_task", **options) -> MoELayer:
    """A layer of width 8 for two tasks, whose gates have learnt to choose."""
    kind, inner = {
        "feed_forward": ("feed_forward", {"ffn_width": 8}),
        "attention": ("attention_heads", {"head_width": 8}),
    }[place]
    experts = {"kind": kind, kind: inner}
    section = {"layers": [0], "num_experts": 4, "top_k": 2, "experts": experts, **options}
    chosen = {"kind": router, router: {"noise": 0.0}}
    config = from_values(MoE.Config, {place: section, "router": chosen}, "train.yaml")
    layer = MoE(config, width=8, num_layers=1, num_tasks=2).layer(place, 0)
    for name, parameter in layer.router.named_parameters():
        if "DE" in name:
            nn.init.normal_(parameter)
    return layer


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two rows of five frames, the second with two of padding, of two tasks."""
    valid_BT = torch.ones(2, 5, dtype=torch.bool)
    valid_BT[1, 3:] = False
    return torch.randn(2, 5, 8, requires_grad=True), valid_BT, torch.tensor([0, 1])


@pytest.mark.parametrize("place", PLACES)
def test_padding_changes_neither_output_nor_table(place):
    torch.manual_seed(0)
    layer = make(place)
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
    layer = make("feed_forward", shared_width=16)
    x_BTD, task_B = torch.randn(1, 6, 8), torch.tensor([0])
    valid_BT = torch.ones(1, 6, dtype=torch.bool)
    y_BTD, _ = layer(x_BTD, valid_BT, task_B)
    shared, layer.shared = layer.shared, None
    without_BTD, _ = layer(x_BTD, valid_BT, task_B)
    torch.testing.assert_close(y_BTD, without_BTD + shared(x_BTD))


def test_the_shared_expert_makes_nothing_of_padding():
    layer, (x_BTD, valid_BT, task_B) = make("feed_forward", shared_width=16), batch()
    nn.init.ones_(layer.shared.w2.bias)
    y_BTD, _ = layer(x_BTD, valid_BT, task_B)
    assert (y_BTD[~valid_BT] == 0).all()
    assert (y_BTD[valid_BT] != 0).any(-1).all()


@pytest.mark.parametrize("place", PLACES)
def test_a_row_of_padding_alone_is_zero_and_counted_nowhere(place):
    layer, (x_BTD, valid_BT, task_B) = make(place), batch()
    valid_BT[1] = False
    y_BTD, table = layer(x_BTD, valid_BT, task_B)
    assert (y_BTD[1] == 0).all()
    assert table.tokens_G.tolist() == [5, 0]
    assert table.count_GE[1].tolist() == [0, 0, 0, 0]
    y_BTD.sum().backward()
    assert (x_BTD.grad[1] == 0).all()


def test_where_every_token_visits_all_experts_the_output_is_their_weighted_mean():
    torch.manual_seed(0)
    layer, (x_BTD, valid_BT, task_B) = make("feed_forward", top_k=4), batch()
    y_BTD, table = layer(x_BTD, valid_BT, task_B)
    weight_BTE = layer.router.logits(x_BTD, task_B).softmax(-1)
    inner_BTEH = F.gelu(torch.einsum("btd,edh->bteh", x_BTD, layer.experts.w1_EDH))
    out_BTED = torch.einsum("bteh,ehd->bted", inner_BTEH, layer.experts.w2_EHD)
    want_BTD = (out_BTED * weight_BTE[..., None]).sum(2) * valid_BT[..., None]
    torch.testing.assert_close(y_BTD, want_BTD, atol=1e-5, rtol=1e-5)
    assert table.count_GE.tolist() == [[5.0] * 4, [3.0] * 4]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_layers_compile(place):
    """In bfloat16: the compiler's grouped product knows no other type."""
    torch.manual_seed(0)
    layer, (x_BTD, valid_BT, task_B) = make(place), batch()
    inputs = [x_BTD, *layer.parameters()]
    torch._dynamo.reset()
    with torch.autocast("cpu", torch.bfloat16):
        want, table = layer(x_BTD, valid_BT, task_B)
        compiled = torch.compile(layer, backend="aot_eager")
        got, compiled_table = compiled(x_BTD, valid_BT, task_B)
    torch.testing.assert_close(got, want)
    assert torch.equal(compiled_table.count_GE, table.count_GE)
    # The compiled backward pass keeps more of its steps in bfloat16.
    gradients = (torch.autograd.grad(y.sin().sum(), inputs) for y in (got, want))
    for of_compiled, of_eager in zip(*gradients, strict=True):
        atol = 0.02 * of_eager.abs().max().item()
        torch.testing.assert_close(of_compiled, of_eager, atol=atol, rtol=0)


def test_a_new_task_gets_a_row_of_the_table_and_leaves_the_others():
    layer, (x_BTD, valid_BT, task_B) = make("feed_forward"), batch()
    before_BTD, _ = layer(x_BTD, valid_BT, task_B)
    (own,) = layer.add_task()
    after_BTD, table = layer(x_BTD, valid_BT, task_B)
    assert own is layer.router.gates_DE[2]
    assert torch.equal(after_BTD, before_BTD)
    assert table.tokens_G.tolist() == [5, 3, 0]
    _, table = layer(x_BTD, valid_BT, torch.tensor([2, 2]))
    assert table.tokens_G.tolist() == [0, 0, 8]


@pytest.mark.parametrize("place", PLACES)
def test_a_layer_cut_to_the_experts_that_a_task_visits_answers_as_before(place):
    torch.manual_seed(0)
    layer, (x_BTD, valid_BT, _) = make(place), batch()
    gate_DE = layer.router.gates_DE[1].data
    # Far behind, whatever the frame: |x| stays below 5.
    x_BTD = x_BTD.detach().clamp(-5, 5)
    x_BTD[..., 0] = 1.0
    gate_DE[0, [0, 2]] -= 200.0
    whole_BTD, table = layer(x_BTD, valid_BT, torch.tensor([1, 1]))
    visited = table.count_GE[1].nonzero()[:, 0].tolist()
    assert visited == [1, 3]
    layer.keep(1, visited[::-1])
    cut_BTD, table = layer(x_BTD, valid_BT, torch.tensor([0, 0]))
    torch.testing.assert_close(cut_BTD, whole_BTD)
    assert table.count_GE.tolist() == [[8.0, 8.0]]


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
@pytest.mark.parametrize("place", PLACES)
def test_active_parameters_are_those_of_a_layer_with_as_many_experts_as_a_token_visits(
    place, router
):
    layer = make(place, router, num_experts=5, top_k=3)
    active = layer.active_parameters()
    # Every expert is scored, so the gate of one task stays whole.
    layer.experts.keep([4, 0, 2])
    layer.router.keep(1, [0, 1, 2, 3, 4])
    assert active == count_parameters(layer)


def test_active_parameters_count_the_shared_expert_whole():
    without, with_shared = make("feed_forward"), make("feed_forward", shared_width=7)
    shared = count_parameters(with_shared.shared)
    assert with_shared.active_parameters() == without.active_parameters() + shared


class RoundRobin(Router):
    """Frames take turns: nothing but the contract, and a weight for each expert."""

    def __init__(self, config, sizes):
        super().__init__(config, sizes)
        self.weight_E = nn.Parameter(torch.zeros(sizes.num_experts))

    def forward(self, x_BTD, valid_BT, task_B):
        N = valid_BT.numel()
        logit_NE = self.weight_E.expand(N, -1)
        expert_NK = torch.arange(N)[:, None] % self.num_experts
        active_NK = valid_BT.flatten()[:, None]
        weight_NK = logit_NE.sigmoid().gather(1, expert_NK) * active_NK
        return Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE)

    def add_task(self):
        return []

    def keep(self, task, experts):
        super().keep(task, experts)
        self.weight_E = nn.Parameter(self.weight_E.data[experts])


class Scales(Experts):
    """Each expert multiplies a frame by a number: nothing but the contract."""

    replaces = "feed_forward"

    def __init__(self, config, width, num_experts):
        super().__init__(config, width, num_experts)
        self.scale_E = nn.Parameter(torch.ones(num_experts))

    def forward(self, x_BTD, valid_BT, routing):
        factor_N = (self.scale_E[routing.expert_NK] * routing.weight_NK).sum(1)
        return x_BTD * factor_N.view(*valid_BT.shape, 1)

    def expert_parameters(self):
        return ["scale_E"]


class LargestShare(Balance):
    """The probability of the most probable expert: nothing but the contract."""

    def loss(self, table):
        return table.probability_GE.sum(0).max() / table.tokens_G.sum()


def gated() -> tuple[Router, Experts]:
    """Parts of the toolkit that fit `SIZES`."""
    router = SharedRouter(SharedRouter.Config(), SIZES)
    return router, FeedForwardExperts(FeedForwardExperts.Config(ffn_width=8), 8, 4)


def train_two_steps(layer: MoELayer, balance: Balance) -> set[str]:
    """Names of the parameters that have moved."""
    before = {name: value.clone() for name, value in layer.named_parameters()}
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        x_BTD, valid_BT, task_B = batch()
        y_BTD, table = layer(x_BTD, valid_BT, task_B)
        loss = y_BTD.square().mean() + balance.config.weight * balance.loss(table)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        balance.after_step(layer.router, table)
        losses.append(loss.item())
    assert losses[1] < losses[0]
    return {
        name for name, value in layer.named_parameters() if not torch.equal(value, before[name])
    }


def test_a_router_that_only_keeps_its_contract_trains():
    _, experts = gated()
    layer = MoELayer(MoELayer.Config(), SIZES, RoundRobin(RoundRobin.Config(), SIZES), experts)
    balance = MutualInformation(MutualInformation.Config())
    moved = train_two_steps(layer, balance)
    assert moved == {"router.weight_E", "experts.w1_EDH", "experts.w2_EHD"}
    assert not layer.router.survives_cut
    assert layer.add_task() == []
    layer.keep(0, [2, 1])
    y_BTD, table = layer(
        torch.randn(1, 4, 8), torch.ones(1, 4, dtype=torch.bool), torch.tensor([0])
    )
    assert y_BTD.shape == (1, 4, 8)
    assert table.count_GE.tolist() == [[2.0, 2.0]]


def test_experts_that_only_keep_their_contract_train():
    router, _ = gated()
    layer = MoELayer(MoELayer.Config(), SIZES, router, Scales(Scales.Config(), 8, 4))
    assert layer.experts.num_experts == 4
    assert layer.experts.dense_twin(Scales.Config(), 8) is None
    moved = train_two_steps(layer, MutualInformation(MutualInformation.Config()))
    assert moved == {"router.gate_DE", "experts.scale_E"}
    # 4 - 2 numbers of experts that a token does not visit.
    assert layer.active_parameters() == count_parameters(layer) - 2
    layer.keep(0, [3])
    assert layer.experts.scale_E.shape == (1,)


def test_a_balance_that_only_keeps_its_contract_trains():
    layer = MoELayer(MoELayer.Config(), SIZES, *gated())
    moved = train_two_steps(layer, LargestShare(LargestShare.Config(weight=0.5)))
    assert "router.gate_DE" in moved
    assert not layer.router.bias_E.any()
