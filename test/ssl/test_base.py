"""Objectives by name, and what a batch gives of its masked frames."""

import pytest
import torch
from tiny import CODEC, mels

from aio_toolkit import parts
from aio_toolkit.config import Choice
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.errors import AioError
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.ssl.base import Objective, TargetSizes
from aio_toolkit.ssl.best_rq import BestRq
from aio_toolkit.ssl.contrastive import Contrastive
from aio_toolkit.ssl.masked_codes import MaskedCodes
from aio_toolkit.ssl.self_distillation import SelfDistillation

CLASSES = {
    "masked_codes": MaskedCodes,
    "best_rq": BestRq,
    "contrastive": Contrastive,
    "self_distillation": SelfDistillation,
}


def build(choice: Choice) -> Objective:
    options = TransformerEncoder.Config(width=16, num_layers=2, num_heads=2, ffn_width=16)
    config = SslEncoder.Config(Choice("transformer", options), front_end=mels(5))
    encoder = SslEncoder(config, CODEC.grid)
    return parts.build(Objective, choice, encoder, TargetSizes(10, 2, 8))


def test_every_kind_is_known():
    assert set(parts.kinds("ssl")) == set(CLASSES)


@pytest.mark.parametrize(
    ("kind", "options", "found"),
    [
        ("masked_codes", {"num_codebooks": 1}, lambda made: made.classifier.out_features == 1 * 8),
        ("best_rq", {"num_codebooks": 3}, lambda made: made.projection_QFC.shape[:2] == (3, 10)),
        ("contrastive", {"dim": 7}, lambda made: made.target.weight.shape == (7, 10)),
        ("self_distillation", {"top_layers": 1}, lambda made: made.config.top_layers == 1),
    ],
)
def test_a_kind_is_built_with_its_own_options(kind, options, found):
    objective = build(Choice(kind, CLASSES[kind].Config(**options)))
    assert type(objective) is CLASSES[kind]
    assert found(objective)


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(AioError, match="ssl: unknown kind 'hubert'.*Known kinds: best_rq, contr"):
        build(Choice("hubert"))


def test_masked_frames_are_taken_row_after_row(make_batch):
    batch = make_batch()
    places = batch.masked_BT.nonzero().tolist()
    for m, (b, t) in enumerate(places):
        assert torch.equal(batch.features_MF[m], batch.features_BTF[b, t])
        assert torch.equal(batch.codes_MQ[m], batch.codes_BTQ[b, t])
        assert torch.equal(batch.state_MD[m], batch.states[-1][b, t])
    assert len(batch.features_MF) == len(batch.codes_MQ) == len(batch.state_MD) == len(places)
