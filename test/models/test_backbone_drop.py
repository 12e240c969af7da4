"""Blocks that are dropped: which, and with what gradients."""

import pytest
import torch
from tiny import tiny_backbone
from torch import nn

from aio_toolkit.layers import zero_with_gradient
from aio_toolkit.models.backbone import Backbone

BLOCKS = 12


def backbone(drop_seed: int | None, layer_drop: float = 0.5) -> Backbone:
    model = tiny_backbone(num_layers=BLOCKS, layer_drop=layer_drop).train()
    model.drop_seed = drop_seed
    return model


def hollow(model: Backbone) -> Backbone:
    """The same with blocks that hand their input on."""
    for block in model.blocks:
        block.forward = lambda x_BTD, *_: (x_BTD, {})
    return model


def run(model: Backbone) -> tuple[torch.Tensor, list[int]]:
    """The output, and the blocks that ran."""
    ran: list[int] = []
    hooks = [
        block.register_forward_hook(lambda *_, place=place: ran.append(place))
        for place, block in enumerate(model.blocks)
    ]
    generator = torch.Generator().manual_seed(1)
    x_BTD = torch.randn(2, 5, 16, generator=generator)
    y_BTD, _ = model(x_BTD, torch.ones(2, 5, dtype=torch.bool), torch.tensor([0, 1]))
    for hook in hooks:
        hook.remove()
    return y_BTD, ran


def test_which_blocks_run_depends_on_the_seed_of_the_step_alone():
    found = {}
    for seed in (7, 7, 8):
        torch.rand(1)
        found.setdefault(seed, []).append(run(backbone(seed))[1])
    first, again = found[7]
    assert first == again
    assert found[8][0] != first


def test_blocks_are_dropped_with_their_probability_and_each_on_its_own():
    model = hollow(backbone(None, layer_drop=0.3))
    ran_SN = torch.zeros(150, BLOCKS)
    with torch.no_grad():
        for seed in range(150):
            model.drop_seed = seed
            ran_SN[seed, run(model)[1]] = 1
    assert ran_SN.mean().item() == pytest.approx(0.7, abs=0.04)
    # Of blocks that are independent, the number that run has the variance of a binomial.
    assert ran_SN.sum(1).var().item() == pytest.approx(BLOCKS * 0.3 * 0.7, rel=0.35)


def test_a_seed_leaves_the_generator_of_the_run_alone():
    model = hollow(backbone(7))
    before = torch.get_rng_state()
    run(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_parameter_has_a_gradient_and_that_of_a_dropped_block_is_zero():
    model = backbone(7)
    y_BTD, ran = run(model)
    y_BTD.sin().sum().backward()
    assert 0 < len(ran) < BLOCKS
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    for place, block in enumerate(model.blocks):
        moves = any(parameter.grad.any() for parameter in block.parameters())
        assert moves == (place in ran)


def test_the_output_is_that_of_the_blocks_that_run():
    model = backbone(7)
    torch.manual_seed(3)  # of the gates' noise
    y_BTD, ran = run(model)
    model.blocks = nn.ModuleList(model.blocks[place] for place in ran)
    model.layer_drop = 0.0
    torch.manual_seed(3)
    wanted_BTD, _ = run(model)
    assert torch.equal(y_BTD, wanted_BTD)


def test_frozen_parameters_of_a_dropped_block_stay_without_gradient():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    zero = zero_with_gradient(layer)
    zero.backward()
    assert zero.item() == 0
    assert torch.equal(layer.weight.grad, torch.zeros(2, 3))
    assert layer.bias.grad is None


def test_a_module_without_trained_parameters_gives_a_plain_zero():
    assert zero_with_gradient(nn.GELU()).item() == 0
