"""Objectives by name."""

import pytest
from tiny import ENCODER

from aio_toolkit.errors import AioError
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.ssl.best_rq import BestRq
from aio_toolkit.ssl.build import KINDS, ObjectiveConfig, build_objective
from aio_toolkit.ssl.contrastive import Contrastive
from aio_toolkit.ssl.masked_codes import MaskedCodes
from aio_toolkit.ssl.self_distillation import SelfDistillation

CLASSES = {
    "masked_codes": MaskedCodes,
    "best_rq": BestRq,
    "contrastive": Contrastive,
    "self_distillation": SelfDistillation,
}


def build(config: ObjectiveConfig):
    return build_objective(config, SslEncoder(ENCODER, 10), num_codebooks=2, codebook_size=8)


def test_every_kind_is_known():
    assert set(KINDS) == set(CLASSES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_built_with_its_own_options(kind):
    options = {
        "masked_codes": MaskedCodes.Config(num_codebooks=1),
        "best_rq": BestRq.Config(num_codebooks=3),
        "contrastive": Contrastive.Config(dim=7),
        "self_distillation": SelfDistillation.Config(top_layers=1),
    }
    objective = build(ObjectiveConfig(kind, **options))
    assert type(objective) is CLASSES[kind]
    found = {
        "masked_codes": lambda: objective.classifier.out_features == 1 * 8,
        "best_rq": lambda: tuple(objective.projection_QFC.shape[:2]) == (3, 10),
        "contrastive": lambda: tuple(objective.target.weight.shape) == (7, 10),
        "self_distillation": lambda: objective.config.top_layers == 1,
    }
    assert found[kind]()


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(AioError, match="unknown objective.kind 'hubert'. Choose one of: masked_"):
        build(ObjectiveConfig("hubert"))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_masks_nothing_or_all_is_refused(share):
    with pytest.raises(AioError, match=rf"objective.mask_share {share} is not in \(0, 1\)"):
        build(ObjectiveConfig(mask_share=share))
