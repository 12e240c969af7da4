"""What holds for every objective: masked frames stay unseen, and what can be told is learnt."""

import dataclasses
import math

import pytest
import torch
from tiny import ENCODER

from aio_toolkit.models.ssl import SslModel
from aio_toolkit.ssl.build import KINDS, ObjectiveConfig

NUM_FEATURES = 10


def make_model(kind: str, Q: int = 3, V: int = 5, stem_kernel: int = 1, **options) -> SslModel:
    torch.manual_seed(0)
    encoder = dataclasses.replace(ENCODER, stem_kernel=stem_kernel)
    config = SslModel.Config(encoder, ObjectiveConfig(kind, **options))
    return SslModel(config, NUM_FEATURES, Q, V)


def states_before_and_after(model: SslModel) -> list[torch.Tensor]:
    """The last layer's states before and after masked features change, under one mask."""
    seen = []
    model.objective.loss = lambda batch: (seen.append(batch) or batch.states[-1].sum(), {})
    features_BTF, lengths_B = torch.randn(2, 14, NUM_FEATURES), torch.tensor([14, 9])
    codes_BTQ = torch.randint(5, (2, 14, 3))
    torch.manual_seed(1)
    model(features_BTF, lengths_B, codes_BTQ)
    features_BTF[seen[0].hidden_BT] += 10.0
    torch.manual_seed(1)
    model(features_BTF, lengths_B, codes_BTQ)
    assert torch.equal(seen[0].hidden_BT, seen[1].hidden_BT)
    return [batch.states[-1] for batch in seen]


@pytest.mark.parametrize("kind", KINDS)
def test_masked_features_do_not_reach_the_encoder(kind):
    before, after = states_before_and_after(make_model(kind))
    torch.testing.assert_close(after, before)


@pytest.mark.xfail(strict=True, reason="the stem's convolution reads frames before they are masked")
def test_masked_features_do_not_reach_the_encoder_through_a_wide_stem():
    model = make_model("masked_codes", stem_kernel=5)
    before, after = states_before_and_after(model)
    torch.testing.assert_close(after, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_objective_learns_a_tone_that_rises(kind):
    """Frames follow from their neighbours, so the loss on masked ones falls by a fifth."""
    model = make_model(kind, 2, 8, span=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(150):
        phase_BT = torch.rand(8, 1) * 8 + torch.arange(24) * 0.5
        tones = [(2 * math.pi * phase_BT * (f + 1) / 8).sin() for f in range(NUM_FEATURES)]
        codes_BTQ = torch.stack([phase_BT.long() % 8, (phase_BT / 2).long() % 8], -1)
        loss, _ = model(torch.stack(tones, -1), torch.full((8,), 24), codes_BTQ)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.objective.after_step(model.ssl_encoder)
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
