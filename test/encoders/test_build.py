"""Encoders by name fulfil the contract: a tensor per layer, and rows that do not depend on their batch."""

import pytest
import torch

from aio_toolkit.encoders.base import EncoderConfig, valid_frames
from aio_toolkit.encoders.build import KINDS, build_encoder
from aio_toolkit.encoders.stem import Stem
from aio_toolkit.errors import AioError


def config(kind: str, **options) -> EncoderConfig:
    return EncoderConfig(**{"kind": kind, "width": 16, "num_layers": 2, "num_heads": 2, "hidden": 32, **options})


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_per_layer_and_no_word_from_padding(kind):
    torch.manual_seed(0)
    encoder = build_encoder(config(kind, conv_kernel=5)).eval()
    lengths_B, x_BTD = torch.tensor([12, 7]), torch.randn(2, 12, 16)
    valid_BT = valid_frames(lengths_B, 12)
    x_BTD[~valid_BT] = 50.0
    states = encoder(x_BTD, valid_BT)
    assert [state.shape for state in states] == [x_BTD.shape] * encoder.num_layers
    alone = encoder(x_BTD[1:, :7], valid_BT[1:, :7])
    for state, state_alone in zip(states, alone, strict=True):
        torch.testing.assert_close(state[1, :7], state_alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [1, 5])
def test_the_stem_sees_its_frames_and_no_padding(kernel):
    torch.manual_seed(0)
    stem, x_BTF = Stem(6, 16, kernel), torch.randn(1, 20, 6)
    valid_BT = valid_frames(torch.tensor([15]), 20)
    before = stem(x_BTF, valid_BT)
    x_BTF[:, 15:] = 9.0
    torch.testing.assert_close(stem(x_BTF, valid_BT)[:, :15], before[:, :15])
    x_BTF[:, 7] += 1.0
    changed = (stem(x_BTF, valid_BT) - before)[0, :15].abs().amax(1) > 1e-6
    assert changed.nonzero()[:, 0].tolist() == list(range(7 - kernel // 2, 8 + kernel // 2))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_that_is_used(kind):
    encoder = build_encoder(config(kind, conv_kernel=3)).train()
    states = encoder(torch.randn(2, 9, 16), torch.ones(2, 9, dtype=torch.bool))
    states[-1].square().sum().backward()
    idle = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    # ESPnet ends with a norm that the hidden states come before.
    assert all("after_norm" in name for name in idle)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "mamba"}, "unknown encoder.kind 'mamba'. Choose one of: transformer, conformer, e_branchformer"),
        ({"kind": "conformer", "conv_kernel": 4}, "encoder.conv_kernel of a conformer is odd, not 4"),
        ({"kind": "transformer", "num_heads": 3}, "encoder.num_heads 3 does not divide encoder.width 16"),
    ],
)
def test_what_cannot_be_is_named(options, message):
    with pytest.raises(AioError, match=message):
        build_encoder(config(**options))
