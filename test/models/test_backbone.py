"""The backbone against a slow composition of its parts, and the skipping of blocks."""

import pytest
import torch
import torch.nn.functional as F
from tiny import randomise_gates, tiny_backbone, with_attention_experts

from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.errors import AioError
from aio_toolkit.moe.attention import AttentionExperts
from aio_toolkit.moe.experts import FeedForwardExperts
from aio_toolkit.moe.layer import AttentionConfig, MoEConfig
from aio_toolkit.moe.router import RouterConfig

T, LENGTHS_B, TASK_B = 11, torch.tensor([11, 7, 10]), torch.tensor([1, 0, 1])
VALID_BT = valid_frames(LENGTHS_B, T)


def frames() -> torch.Tensor:
    torch.manual_seed(4)
    return torch.randn(3, T, 16)


def run(backbone, x_BTD: torch.Tensor):
    return backbone(x_BTD, VALID_BT, TASK_B)


def slow_block(block, x_BTD: torch.Tensor) -> torch.Tensor:
    """Attention, convolution and feed-forward layer: each normalised before, added after."""

    def answer(layer, norm, x_BTD):
        normed_BTD = F.layer_norm(x_BTD, (16,), norm.weight, norm.bias)
        if not hasattr(layer, "router"):
            return layer(normed_BTD, VALID_BT) if norm is not block.norm else layer(normed_BTD)
        return layer(normed_BTD, VALID_BT, TASK_B)[0]

    mixer = block.mixer
    x_BTD = x_BTD + answer(mixer.attention, mixer.attention_norm, x_BTD)
    x_BTD = x_BTD + answer(mixer.conv, mixer.conv_norm, x_BTD)
    return x_BTD + answer(block.feed_forward, block.norm, x_BTD)


@pytest.mark.parametrize(
    "moe",
    [MoEConfig(layers=[]), MoEConfig(num_experts=4, top_k=2), with_attention_experts()],
    ids=["dense", "experts", "attention experts"],
)
def test_a_backbone_is_a_chain_of_blocks_on_frames_told_their_task(moe):
    backbone, x_BTD = tiny_backbone(moe, num_layers=3).eval(), frames()
    randomise_gates(backbone)
    for norm in (module for module in backbone.modules() if isinstance(module, torch.nn.LayerNorm)):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    got, _ = run(backbone, x_BTD)
    told = [x_TD + backbone.task_embedding[g] for x_TD, g in zip(x_BTD, TASK_B, strict=True)]
    want = torch.stack(told)
    for block in backbone.blocks:
        want = slow_block(block, want)
    want = F.layer_norm(want, (16,), backbone.norm.weight, backbone.norm.bias)
    torch.testing.assert_close(got[VALID_BT], want[VALID_BT], atol=1e-5, rtol=1e-4)


def skipping(share: float):
    return tiny_backbone(with_attention_experts(), layer_drop=share)


def test_with_a_layer_drop_of_one_training_skips_every_block():
    backbone, x_BTD = skipping(1.0).train(), frames()
    got, tables = run(backbone, x_BTD)
    told_BTD = x_BTD + torch.stack([backbone.task_embedding[g] for g in TASK_B])[:, None]
    torch.testing.assert_close(got, F.layer_norm(told_BTD, (16,)))
    assert tables == {}


def test_evaluation_skips_no_block():
    dropping, whole = skipping(1.0).eval(), skipping(0.0).eval()
    got, tables = run(dropping, frames())
    want, of_whole = run(whole, frames())
    assert torch.equal(got, want)
    assert tables.keys() == of_whole.keys() != set()


def test_without_layer_drop_training_skips_no_block():
    _, tables = run(skipping(0.0).train(), frames())
    assert {name.split(".")[0] for name in tables} == {"block0", "block1"}


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_blocks_are_skipped_as_often_as_asked_for_each_on_its_own(share):
    backbone, x_BTD = skipping(share).train(), frames()
    backbone.blocks = torch.nn.ModuleList(Visited() for _ in range(4))
    torch.manual_seed(0)
    visited_RL = torch.stack([visits(backbone, x_BTD) for _ in range(400)])
    # The standard deviation is at most 0.025, that of the covariance at most 0.0125.
    torch.testing.assert_close(visited_RL.mean(0), torch.full((4,), 1 - share), atol=0.1, rtol=0)
    covariance_LL = torch.cov(visited_RL.T)
    wanted_LL = torch.eye(4) * share * (1 - share)
    torch.testing.assert_close(covariance_LL, wanted_LL, atol=0.05, rtol=0)


class Visited(torch.nn.Module):
    """A block that knows whether it ran."""

    def forward(self, x_BTD, valid_BT, task_B):
        self.ran = True
        return x_BTD, {}


def visits(backbone, x_BTD: torch.Tensor) -> torch.Tensor:
    """Which blocks (L,) ran in one pass."""
    for block in backbone.blocks:
        block.ran = False
    run(backbone, x_BTD)
    return torch.tensor([float(block.ran) for block in backbone.blocks])


def layout(num_layers: int, layers, attention_layers) -> MoEConfig:
    attention = AttentionConfig(layers=attention_layers, num_experts=4, top_k=2, head_width=8)
    sizes = {"num_experts": 4, "top_k": 2, "expert_hidden": 16}
    return MoEConfig(layers=layers, attention=attention, **sizes)


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
    moe = layout(num_layers, layers, attention_layers)
    backbone = tiny_backbone(moe, num_layers=num_layers)
    found = backbone.moe_layers()
    assert list(found) == [f"block{name}" for name in names]
    assert list(run(backbone, frames())[1]) == list(found)
    for name, layer in found.items():
        number, place = name.removeprefix("block").split(".")
        block = backbone.blocks[int(number)]
        assert layer is (block.mixer.attention if place == "attention" else block.feed_forward)
        kind = AttentionExperts if place == "attention" else FeedForwardExperts
        assert isinstance(layer.experts, kind)


def test_a_table_is_that_of_the_layer_it_is_named_after():
    """The gates of every layer send all frames to two experts of its own."""
    moe = with_attention_experts(layers=[0, 1], router=RouterConfig("shared"))
    backbone = tiny_backbone(moe).eval()
    pairs = {
        "block0.attention": [0, 1],
        "block0.feed_forward": [1, 2],
        "block1.attention": [2, 3],
        "block1.feed_forward": [0, 3],
    }
    for name, layer in backbone.moe_layers().items():
        layer.router.bias_E[pairs[name]] = 10.0
    _, tables = run(backbone, frames())
    visited = {n: table.count_GE.sum(0).nonzero()[:, 0].tolist() for n, table in tables.items()}
    assert visited == pairs


def test_tables_count_the_real_frames_of_each_task():
    _, tables = run(tiny_backbone(with_attention_experts()), frames())
    for table in tables.values():
        assert table.tokens_G.tolist() == [7, 21]
        assert table.count_GE.sum(1).tolist() == [14, 42]


@pytest.mark.parametrize("beyond", [3, -1])
def test_a_block_that_is_not_there_is_named(beyond):
    for moe in (layout(3, [0, beyond], []), layout(3, [], [beyond])):
        with pytest.raises(AioError, match=f"names block {beyond}; the backbone has blocks 0 to 2"):
            tiny_backbone(moe, num_layers=3)
