"""Which blocks get experts, of what kind, and what a section may not ask for."""

import pytest
import torch

from aio_toolkit import parts
from aio_toolkit.config import Choice, from_values
from aio_toolkit.errors import AioError
from aio_toolkit.layers import FeedForward
from aio_toolkit.moe.experts.attention_heads import AttentionHeads
from aio_toolkit.moe.experts.feed_forward import FeedForwardExperts
from aio_toolkit.moe.layer import MoELayer
from aio_toolkit.moe.mixture import MoE


def make(num_layers: int = 5, width: int = 16, **sections) -> MoE:
    return MoE(from_values(MoE.Config, sections, "train.yaml"), width, num_layers, num_tasks=3)


def blocks(moe: MoE, place: str, num_layers: int = 5) -> list[int]:
    return [block for block in range(num_layers) if moe.layer(place, block) is not None]


def test_every_second_block_has_feed_forward_experts_and_none_has_heads_by_default():
    moe = make()
    assert blocks(moe, "feed_forward") == [1, 3]
    assert blocks(moe, "attention") == []


def test_blocks_that_are_named_have_experts_and_no_others():
    moe = make(feed_forward={"layers": [0, 4]}, attention={"layers": [2]})
    assert blocks(moe, "feed_forward") == [0, 4]
    assert blocks(moe, "attention") == [2]
    assert blocks(make(feed_forward={"layers": []}), "feed_forward") == []


def test_a_section_decides_over_number_and_width_of_its_experts():
    moe = make(
        feed_forward={
            "num_experts": 5,
            "top_k": 3,
            "shared_width": 7,
            "experts": {"feed_forward": {"ffn_width": 24, "activation": "swiglu"}},
        },
        attention={"layers": [0], "experts": {"attention_heads": {"head_width": 8}}},
    )
    layer, heads = moe.layer("feed_forward", 1), moe.layer("attention", 0)
    assert layer.experts.w1_EDH.shape == (5, 16, 48)
    assert (layer.router.num_experts, layer.router.top_k) == (5, 3)
    assert layer.shared.w1.out_features == 7
    assert heads.experts.query_EDC.shape == (8, 16, 8)
    assert (heads.router.num_experts, heads.router.top_k) == (8, 4)
    assert heads.shared is None
    assert layer.num_tasks == heads.num_tasks == 3


@pytest.mark.parametrize("kind", parts.kinds("moe/routers"))
def test_all_layers_have_the_router_that_is_chosen(kind):
    moe = make(router={"kind": kind, kind: {"noise": 0.7}}, attention={"layers": [1]})
    for place in ("feed_forward", "attention"):
        router = moe.layer(place, 1).router
        assert type(router).__module__ == f"aio_toolkit.moe.routers.{kind}"
        assert router.config.noise == 0.7


@pytest.mark.parametrize("kind", parts.kinds("moe/balances"))
def test_tables_have_the_columns_that_the_balance_reads(kind):
    layer = make(balance={"kind": kind}).layer("feed_forward", 1)
    _, table = layer(torch.randn(1, 4, 16), torch.ones(1, 4, dtype=torch.bool), torch.tensor([0]))
    read = kind == "importance_load"
    assert bool(table.importance_GE.any()) == bool(table.expected_GE.any()) == read


def test_a_single_feed_forward_expert_is_a_dense_layer_of_its_width():
    section = {"num_experts": 1, "top_k": 1, "experts": {"feed_forward": {"ffn_width": 40}}}
    layer = make(feed_forward=section).layer("feed_forward", 1)
    assert isinstance(layer, FeedForward)
    assert layer.w1.out_features == 40


def test_a_single_head_is_an_expert_like_any_other():
    section = {"layers": [0], "num_experts": 1, "top_k": 1}
    layer = make(attention=section).layer("attention", 0)
    assert isinstance(layer, MoELayer)
    assert layer.experts.num_experts == 1


def test_defaults_of_the_two_places_name_their_own_experts():
    config = MoE.Config()
    assert config.feed_forward.experts == Choice("feed_forward")
    assert config.attention.experts == Choice("attention_heads")
    read = from_values(MoE.Config, {}, "train.yaml")
    assert isinstance(read.feed_forward.experts.options, FeedForwardExperts.Config)
    assert isinstance(read.attention.experts.options, AttentionHeads.Config)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"feed_forward": {"layers": [0, 5]}},
            "moe.feed_forward.layers names block 5; the backbone has blocks 0 to 4",
        ),
        (
            {"attention": {"layers": [-1]}},
            "moe.attention.layers names block -1; the backbone has blocks 0 to 4",
        ),
        (
            {"feed_forward": {"top_k": 9}},
            "key 'feed_forward.top_k' must be at most 'num_experts', which is 8, not 9",
        ),
        (
            {"feed_forward": {"experts": {"kind": "attention_heads"}}},
            "moe.feed_forward: experts 'attention_heads' take the place of attention",
        ),
        (
            {"attention": {"layers": [1], "experts": {"kind": "feed_forward"}}},
            "moe.attention: experts 'feed_forward' take the place of feed_forward",
        ),
        (
            {"attention": {"layers": [1], "shared_width": 8}},
            "moe.attention: shared_width is for feed-forward layers. Set it to 0",
        ),
        (
            {"feed_forward": {"experts": {"feed_forward": {"ffn_width": 12}}}},
            "ffn_width' must be at least 1 and a multiple of 8, not 12",
        ),
        (
            {"router": {"per_task": {"top_p": 2.0}}},
            "key 'router.per_task.top_p' must be above 0 and at most 1, not 2.0",
        ),
        ({"balance": {"kind": "swich"}}, "unknown kind 'swich'. Did you mean 'switch'?"),
    ],
)
def test_what_cannot_be_is_named(sections, message):
    with pytest.raises(AioError, match=message):
        moe = make(**sections)
        for place in ("feed_forward", "attention"):
            moe.layer(place, 1)
