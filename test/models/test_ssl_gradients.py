"""Whatever trains in stage 3 has a gradient, as data-parallel training demands."""

import pytest
import torch
from tiny import CODEC, HOP, mels, random_examples, tiny_ssl

from aio_toolkit import parts
from aio_toolkit.config import Choice
from aio_toolkit.encoders.base import Encoder
from aio_toolkit.models.batch import collate
from aio_toolkit.models.ssl import SslModel


def lacking(model: SslModel, frames: list[int]) -> list[str]:
    """The trained parameters that have no gradient after a step."""
    examples = random_examples({"asr": frames})
    batch = collate(examples, [examples[0].task], HOP)
    model(batch.wave_BS, batch.samples_B, batch.codes_BTQ).total.backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [name for name, parameter in trained if parameter.grad is None]


@pytest.mark.parametrize("kind", parts.kinds("encoders"))
def test_all_that_trains_of_an_encoder_has_a_gradient(kind):
    options = parts.find(Encoder, kind).Config(width=16, num_layers=2, num_heads=2, conv_kernel=5)
    config = SslModel.Config(Choice(kind, options), stem_kernel=3, front_end=mels(6))
    assert lacking(SslModel(config, CODEC), [12, 7]) == []


@pytest.mark.parametrize("kind", parts.kinds("ssl"))
def test_all_that_trains_of_an_objective_has_a_gradient(kind):
    assert lacking(tiny_ssl(kind), [12, 7]) == []


def test_so_it_is_where_there_is_nothing_to_compare_with():
    """A single frame in every row, which is masked: the contrastive loss has no distractor."""
    torch.manual_seed(0)
    assert lacking(tiny_ssl("contrastive"), [1, 1]) == []
