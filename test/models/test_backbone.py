"""The backbone: residual blocks, tasks, dropped and recomputed blocks, surgery."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.layers import FeedForward, SelfAttention
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.moe.layer import MoELayer

EXPERTS = {
    "feed_forward": {
        "layers": [1, 2],
        "num_experts": 5,
        "top_k": 2,
        "experts": {"feed_forward": {"ffn_width": 24}},
    },
    "attention": {
        "layers": [0],
        "num_experts": 4,
        "top_k": 3,
        "experts": {"attention_heads": {"head_width": 8}},
    },
}
SIZES = {"width": 16, "num_layers": 3, "num_heads": 2, "ffn_width": 20, "conv_kernel": 3}
NAMES = ["block0.attention", "block1.feed_forward", "block2.feed_forward"]


def make(moe: dict | None = None, **options) -> Backbone:
    """Three blocks for three tasks, with gates that have learnt to choose and tasks that differ."""
    sections = {**EXPERTS, **(moe or {})}
    config = from_values(Backbone.Config, {**SIZES, "moe": sections, **options}, "train.yaml")
    torch.manual_seed(0)
    backbone = Backbone(config, num_tasks=3)
    for name, parameter in backbone.named_parameters():
        if "gate" in name and "router" in name or "task_embedding" in name:
            torch.nn.init.normal_(parameter)
    return backbone


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three rows of three lengths and two tasks."""
    torch.manual_seed(1)
    valid_BT = torch.arange(7) < torch.tensor([[7], [4], [6]])
    return torch.randn(3, 7, 16), valid_BT, torch.tensor([0, 2, 2])


def test_the_output_is_that_of_the_layers_applied_one_after_another():
    backbone, (x_BTD, valid_BT, task_B) = make().eval(), batch()
    want_BTD = x_BTD + torch.stack([backbone.task_embedding[g] for g in (0, 2, 2)])[:, None]
    tables = {}
    for number, block in enumerate(backbone.blocks):
        normed_BTD = F.layer_norm(want_BTD, (16,))
        if number == 0:
            y_BTD, tables["block0.attention"] = block.mixer.attention(normed_BTD, valid_BT, task_B)
        else:
            y_BTD = block.mixer.attention(normed_BTD, valid_BT)
        want_BTD = want_BTD + y_BTD
        want_BTD = want_BTD + block.mixer.conv(F.layer_norm(want_BTD, (16,)), valid_BT)
        normed_BTD = F.layer_norm(want_BTD, (16,))
        if number == 0:
            y_BTD = block.feed_forward(normed_BTD)
        else:
            y_BTD, table = block.feed_forward(normed_BTD, valid_BT, task_B)
            tables[f"block{number}.feed_forward"] = table
        want_BTD = want_BTD + y_BTD
    got_BTD, got_tables = backbone(x_BTD, valid_BT, task_B)
    torch.testing.assert_close(got_BTD, F.layer_norm(want_BTD, (16,)))
    assert list(got_tables) == NAMES
    for name, table in tables.items():
        assert torch.equal(got_tables[name].count_GE, table.count_GE)


def slow_block(block, x_BTD: torch.Tensor, valid_BT, task_B) -> torch.Tensor:
    """Attention, convolution and feed-forward layer: each normalised before, added after."""

    def answer(layer, norm, x_BTD):
        normed_BTD = F.layer_norm(x_BTD, (16,), norm.weight, norm.bias)
        if isinstance(layer, MoELayer):
            return layer(normed_BTD, valid_BT, task_B)[0]
        return layer(normed_BTD) if norm is block.norm else layer(normed_BTD, valid_BT)

    mixer = block.mixer
    x_BTD = x_BTD + answer(mixer.attention, mixer.attention_norm, x_BTD)
    x_BTD = x_BTD + answer(mixer.conv, mixer.conv_norm, x_BTD)
    return x_BTD + answer(block.feed_forward, block.norm, x_BTD)


DENSE = {"feed_forward": {"layers": []}, "attention": {"layers": []}}


@pytest.mark.parametrize(
    "moe",
    [DENSE, {"attention": {"layers": []}}, {}],
    ids=["dense", "experts", "attention experts"],
)
def test_a_backbone_is_a_chain_of_blocks_on_frames_told_their_task(moe):
    backbone, (x_BTD, valid_BT, task_B) = make(moe).eval(), batch()
    for norm in (module for module in backbone.modules() if isinstance(module, torch.nn.LayerNorm)):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    got, _ = backbone(x_BTD, valid_BT, task_B)
    told = [x_TD + backbone.task_embedding[g] for x_TD, g in zip(x_BTD, task_B, strict=True)]
    want = torch.stack(told)
    for block in backbone.blocks:
        want = slow_block(block, want, valid_BT, task_B)
    want = F.layer_norm(want, (16,), backbone.norm.weight, backbone.norm.bias)
    torch.testing.assert_close(got[valid_BT], want[valid_BT], atol=1e-5, rtol=1e-4)


def test_layers_that_route_and_dense_ones_stand_where_the_configuration_says():
    backbone = make()
    assert list(backbone.moe_layers()) == NAMES
    assert isinstance(backbone.blocks[0].mixer.attention, MoELayer)
    assert isinstance(backbone.blocks[1].mixer.attention, SelfAttention)
    assert isinstance(backbone.blocks[0].feed_forward, FeedForward)
    assert backbone.blocks[0].feed_forward.w1.out_features == 20


@pytest.mark.parametrize(
    ("num_layers", "layers", "attention_layers", "names"),
    [
        # By default every second block has experts.
        (5, None, [], ["1.feed_forward", "3.feed_forward"]),
        (4, None, [2, 1], ["1.attention", "1.feed_forward", "2.attention", "3.feed_forward"]),
        (3, [2, 0], [0], ["0.attention", "0.feed_forward", "2.feed_forward"]),
        (3, [], [], []),
        (1, None, [], []),
    ],
)
def test_layers_with_experts_are_named_by_their_block_and_place(
    num_layers, layers, attention_layers, names
):
    moe = {
        "feed_forward": {"layers": layers},
        "attention": {**EXPERTS["attention"], "layers": attention_layers},
    }
    backbone = make(moe, num_layers=num_layers)
    found = backbone.moe_layers()
    assert list(found) == [f"block{name}" for name in names]
    assert list(backbone(*batch())[1]) == list(found)
    for name, layer in found.items():
        number, place = name.removeprefix("block").split(".")
        block = backbone.blocks[int(number)]
        assert layer is (block.mixer.attention if place == "attention" else block.feed_forward)
        assert layer.experts.replaces == place


def test_a_table_is_that_of_the_layer_it_is_named_after():
    """The gates of every layer send all frames to two experts of its own."""
    four = {"layers": [0, 1], "num_experts": 4, "top_k": 2}
    heads = {**EXPERTS["attention"], **four}
    backbone = make({"feed_forward": four, "attention": heads, "router": {"kind": "shared"}}).eval()
    pairs = {
        "block0.attention": [0, 1],
        "block0.feed_forward": [1, 2],
        "block1.attention": [2, 3],
        "block1.feed_forward": [0, 3],
    }
    for name, layer in backbone.moe_layers().items():
        layer.router.bias_E[pairs[name]] = 10.0
    _, tables = backbone(*batch())
    visited = {n: table.count_GE.sum(0).nonzero()[:, 0].tolist() for n, table in tables.items()}
    assert visited == pairs


def test_a_row_does_not_depend_on_padding_or_on_other_rows():
    backbone, (x_BTD, valid_BT, task_B) = make().eval(), batch()
    together, _ = backbone(x_BTD, valid_BT, task_B)
    for row, length in enumerate(valid_BT.sum(1).tolist()):
        alone, _ = backbone(
            x_BTD[row : row + 1, :length],
            valid_BT[row : row + 1, :length],
            task_B[row : row + 1],
        )
        torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
def test_the_task_changes_the_answer(router):
    backbone, (x_BTD, valid_BT, task_B) = make({"router": {"kind": router}}).eval(), batch()
    as_is, _ = backbone(x_BTD, valid_BT, task_B)
    swapped, _ = backbone(x_BTD, valid_BT, 2 - task_B)
    assert (as_is - swapped).abs().amax((1, 2)).min() > 1e-3


def test_tables_count_every_real_frame_once_for_each_expert_that_it_visits():
    _, tables = make()(*batch())
    for name, visits in zip(NAMES, (3, 2, 2), strict=True):
        assert tables[name].tokens_G.tolist() == [7, 0, 10]
        assert tables[name].count_GE.sum(1).tolist() == [7 * visits, 0, 10 * visits]


def test_blocks_are_dropped_in_training_alone():
    backbone, (x_BTD, valid_BT, task_B) = make().train(), batch()
    backbone.layer_drop = 1.0
    dropped_BTD, tables = backbone(x_BTD, valid_BT, task_B)
    told_BTD = x_BTD + torch.stack(list(backbone.task_embedding))[task_B][:, None]
    torch.testing.assert_close(dropped_BTD, F.layer_norm(told_BTD, (16,)))
    assert tables == {}
    whole, _ = make().eval()(x_BTD, valid_BT, task_B)
    torch.testing.assert_close(backbone.eval()(x_BTD, valid_BT, task_B)[0], whole)


def test_without_layer_drop_training_skips_no_block():
    _, tables = make(layer_drop=0.0).train()(*batch())
    assert list(tables) == NAMES


class Visited(torch.nn.Module):
    """A block that knows whether it ran."""

    def forward(self, x_BTD, valid_BT, task_B):
        self.ran = True
        return x_BTD, {}


def visits(backbone: Backbone, inputs: tuple) -> torch.Tensor:
    """Which blocks (L,) ran in one pass."""
    for block in backbone.blocks:
        block.ran = False
    backbone(*inputs)
    return torch.tensor([float(block.ran) for block in backbone.blocks])


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_blocks_are_skipped_as_often_as_asked_for_each_on_its_own(share):
    backbone, inputs = make(layer_drop=share).train(), batch()
    backbone.blocks = torch.nn.ModuleList(Visited() for _ in range(4))
    torch.manual_seed(0)
    visited_RL = torch.stack([visits(backbone, inputs) for _ in range(400)])
    # The standard deviation is at most 0.025, that of the covariance at most 0.0125.
    torch.testing.assert_close(visited_RL.mean(0), torch.full((4,), 1 - share), atol=0.1, rtol=0)
    covariance_LL = torch.cov(visited_RL.T)
    wanted_LL = torch.eye(4) * share * (1 - share)
    torch.testing.assert_close(covariance_LL, wanted_LL, atol=0.05, rtol=0)


def test_evaluation_draws_nothing():
    backbone, inputs = make(layer_drop=0.5).eval(), batch()
    before = torch.get_rng_state()
    backbone(*inputs)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
def test_recomputation_changes_neither_gradients_nor_tables(router):
    x_BTD, valid_BT, task_B = batch()
    gradients, tables = [], []
    for recompute in (False, True):
        backbone = make({"router": {"kind": router}}, recompute=recompute).train()
        torch.manual_seed(3)  # of the router's noise
        y_BTD, of_step = backbone(x_BTD, valid_BT, task_B)
        torch.manual_seed(4)
        y_BTD.sin().sum().backward()
        tables.append(of_step)
        gradients.append({n: p.grad for n, p in backbone.named_parameters() if p.grad is not None})
    for name, table in tables[0].items():
        assert torch.equal(tables[1][name].count_GE, table.count_GE)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_a_new_task_leaves_the_answers_to_the_others():
    backbone, inputs = make().eval(), batch()
    before, _ = backbone(*inputs)
    known = {name for name, _ in backbone.named_parameters()}
    own = backbone.add_task()
    assert torch.equal(backbone(*inputs)[0], before)
    new = {name: p for name, p in backbone.named_parameters() if name not in known}
    assert {id(parameter) for parameter in own} == {id(parameter) for parameter in new.values()}
    assert sum(name.startswith("task_embedding") for name in new) == 1
    _, tables = backbone(*inputs[:2], torch.full((3,), 3))
    assert all(table.tokens_G.tolist() == [0, 0, 0, 17] for table in tables.values())


def test_a_backbone_cut_to_a_task_answers_it_as_before():
    backbone, (x_BTD, valid_BT, _) = make().eval(), batch()
    whole_BTD, _ = backbone(x_BTD, valid_BT, torch.full((3,), 2))
    layers = backbone.moe_layers()
    backbone.keep(
        2, {name: list(range(layer.experts.num_experts)) for name, layer in layers.items()}
    )
    cut_BTD, tables = backbone(x_BTD, valid_BT, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(cut_BTD, whole_BTD)
    assert all(table.tokens_G.tolist() == [17] for table in tables.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"width": 16, "num_heads": 3},
            "train.yaml: key 'num_heads' must divide 'width', which is 16, not 3",
        ),
        ({"conv_kernel": 4}, "key 'conv_kernel' must be at least 0 and odd, or 0, not 4"),
        (
            {"moe": {"feed_forward": {"layers": [0, 3]}}},
            "moe.feed_forward.layers names block 3; the backbone has blocks 0 to 2",
        ),
        (
            {"moe": {"attention": {"layers": [-1]}}},
            "moe.attention.layers names block -1; the backbone has blocks 0 to 2",
        ),
    ],
)
def test_what_cannot_be_is_named(options, message):
    with pytest.raises(AioError, match=message):
        make(**options)
