"""How large a model is: counted by configuration, by module and by sub-network."""

import copy

import pytest
import torch
from tiny import (
    router,
    tiny_backbone,
    tiny_backbone_config,
    tiny_model,
    tiny_moe,
    with_attention_experts,
)
from torch import nn

from aio_toolkit.layers import count_parameters
from aio_toolkit.models.size import Size, describe_size, size_of_backbone, size_of_model

ROUTERS = ["per_task", "shared", "task_conditioned"]


def test_parameters_are_counted_once_each():
    linear = nn.Linear(3, 5)
    tied = nn.Sequential(linear, nn.LayerNorm(5), linear)
    assert count_parameters(tied) == 3 * 5 + 5 + 10


@pytest.mark.parametrize("kind", ROUTERS)
def test_a_configuration_tells_the_size_of_the_module_that_it_makes(kind):
    moe = with_attention_experts(router=router(kind))
    size = size_of_backbone(tiny_backbone_config(moe), num_tasks=3)
    backbone = tiny_backbone(moe, num_tasks=3)
    assert size == Size(count_parameters(backbone), backbone.active_parameters())


@pytest.mark.parametrize(
    ("kind", "gate_width"), [("shared", 16), ("per_task", 16), ("task_conditioned", 32)]
)
def test_active_are_the_parameters_of_a_sub_network_of_the_visited_experts(kind, gate_width):
    """Its gates score two experts instead of four, which the whole model needs to choose."""
    moe = with_attention_experts(router=router(kind), feed_forward={"shared_width": 8})
    small = copy.deepcopy(tiny_backbone(moe, num_tasks=3))
    small.keep(1, dict.fromkeys(small.moe_layers(), [1, 3]))
    columns = 2 * gate_width * len(small.moe_layers())
    active = size_of_backbone(tiny_backbone_config(moe), num_tasks=3).active
    assert active == count_parameters(small) + columns


def test_without_experts_only_other_tasks_embeddings_are_idle():
    config = tiny_backbone_config(tiny_moe(feed_forward={"layers": []}))
    size = size_of_backbone(config, num_tasks=3)
    assert size.total - size.active == 2 * 16


def test_as_many_experts_as_are_visited_are_all_active():
    moe = tiny_moe(feed_forward={"num_experts": 2, "top_k": 2}, router=router("shared"))
    size = size_of_backbone(tiny_backbone_config(moe), num_tasks=1)
    assert size.total == size.active


def test_counting_draws_nothing():
    before = torch.get_rng_state()
    size_of_backbone(tiny_backbone_config(), num_tasks=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_is_described_by_backbone_heads_and_encoder(vocabulary):
    model = tiny_model(vocabulary)
    size = size_of_backbone(model.config.backbone, num_tasks=2)
    numbers = {
        "backbone": size.total,
        "a token uses": size.active,
        "text head": count_parameters(model.heads["text"]),
        "audio head": count_parameters(model.heads["audio"]),
        "frozen encoder": count_parameters(model.encoder),
    }
    line = describe_size(model)
    for what, count in numbers.items():
        assert f"{what} {count / 1e6:.2f} M" in line


def test_of_a_whole_model_only_experts_and_tasks_that_are_not_visited_are_idle(vocabulary):
    model = tiny_model(vocabulary)
    size, backbone = size_of_model(model), size_of_backbone(model.config.backbone, num_tasks=2)
    parts = model.backbone, model.encoder, *model.heads.values()
    assert size.total == count_parameters(model) >= sum(map(count_parameters, parts))
    assert size.total - size.active == backbone.total - backbone.active > 0
