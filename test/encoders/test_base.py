"""Every encoder fulfils the contract: a tensor per layer, rows that do not know of each other."""

import pytest
import torch

from aio_toolkit import parts
from aio_toolkit.config import Choice, from_values
from aio_toolkit.encoders.base import Encoder
from aio_toolkit.errors import AioError
from aio_toolkit.layers import valid_frames

KINDS = parts.kinds("encoders")


def make(kind: str, **options) -> Encoder:
    sizes = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32, **options}
    config = parts.find(Encoder, kind).Config(**sizes)
    return parts.build(Encoder, Choice(kind, config))


def test_the_known_kinds():
    assert KINDS == ["conformer", "e_branchformer", "transformer"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_per_layer_and_no_word_from_padding(kind):
    torch.manual_seed(0)
    encoder = make(kind, conv_kernel=5).eval()
    lengths_B, x_BTD = torch.tensor([12, 7]), torch.randn(2, 12, 16)
    valid_BT = valid_frames(lengths_B, 12)
    x_BTD[~valid_BT] = 50.0
    states = encoder(x_BTD, valid_BT)
    assert (encoder.width, encoder.num_layers) == (16, 2)
    assert [state.shape for state in states] == [x_BTD.shape] * encoder.num_layers
    alone = encoder(x_BTD[1:, :7], valid_BT[1:, :7])
    for state, state_alone in zip(states, alone, strict=True):
        torch.testing.assert_close(state[1, :7], state_alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_that_is_used(kind):
    encoder = make(kind, conv_kernel=3).train()
    states = encoder(torch.randn(2, 9, 16), torch.ones(2, 9, dtype=torch.bool))
    states[-1].square().sum().backward()
    idle = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    # ESPnet ends with a norm that the states come before.
    assert all("after_norm" in name for name in idle)


@pytest.mark.parametrize("kind", KINDS)
def test_heads_that_do_not_divide_the_width_are_named(kind):
    message = "key 'num_heads' must divide 'width', which is 16, not 3"
    with pytest.raises(AioError, match=message):
        from_values(parts.find(Encoder, kind).Config, {"width": 16, "num_heads": 3}, "train.yaml")


@pytest.mark.parametrize("kind", KINDS)
def test_an_even_kernel_is_named(kind):
    with pytest.raises(AioError, match=r"key 'conv_kernel' must be at least \d and odd.*, not 4"):
        from_values(parts.find(Encoder, kind).Config, {"conv_kernel": 4}, "train.yaml")


def test_an_unknown_kind_is_told_the_known_ones():
    message = "encoders: unknown kind 'mamba'.*Known kinds: conformer, e_branchformer, transformer"
    with pytest.raises(AioError, match=message):
        parts.build(Encoder, Choice("mamba"))
