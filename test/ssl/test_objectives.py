"""Objectives against slow references, and what they must not see."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.encoders.base import EncoderConfig, valid_frames
from aio_toolkit.errors import AioError
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.ssl.base import MaskedBatch
from aio_toolkit.ssl.best_rq import BestRq
from aio_toolkit.ssl.build import KINDS, ObjectiveConfig, build_objective
from aio_toolkit.ssl.contrastive import Contrastive, draw_distractors, spread
from aio_toolkit.ssl.masked_codes import MaskedCodes
from aio_toolkit.ssl.self_distillation import SelfDistillation, normalise_over_time

B, T, F_, D = 3, 14, 10, 16
ENCODER = EncoderConfig(width=D, num_layers=2, num_heads=2, hidden=16)


def make_batch(Q: int = 3, V: int = 5) -> MaskedBatch:
    torch.manual_seed(3)
    valid_BT = valid_frames(torch.tensor([14, 9, 11]), T)
    hidden_BT = (torch.rand(B, T) < 0.5) & valid_BT
    codes_BTQ = torch.randint(V, (B, T, Q)).masked_fill(~valid_BT[..., None], -1)
    states = [torch.randn(B, T, D, requires_grad=True) for _ in range(2)]
    return MaskedBatch(torch.randn(B, T, F_), codes_BTQ, valid_BT, hidden_BT, states)


def test_masked_codes_is_the_weighted_cross_entropy_of_each_codebook():
    batch = make_batch()
    objective = MaskedCodes(MaskedCodes.Config(codebook_decay=0.5), D, 3, 5)
    loss, figures = objective.loss(batch)
    logits = objective.classifier(batch.states[-1]).view(B, T, 3, 5)
    expected, hidden = 0.0, batch.hidden_BT.nonzero().tolist()
    for q, weight in enumerate([4 / 7, 2 / 7, 1 / 7]):
        terms = [F.cross_entropy(logits[b, t, q], batch.codes_BTQ[b, t, q]) for b, t in hidden]
        expected += weight * torch.stack(terms).mean()
        hits = [logits[b, t, q].argmax() == batch.codes_BTQ[b, t, q] for b, t in hidden]
        assert figures[f"accuracy_q{q}"].item() == pytest.approx(sum(hits).item() / len(hits))
        assert figures[f"perplexity_q{q}"].item() == pytest.approx(torch.stack(terms).mean().exp().item(), rel=1e-5)
    torch.testing.assert_close(loss, expected)


def test_label_usage_is_one_for_even_labels_and_zero_for_equal_ones():
    batch = make_batch(Q=1, V=4)
    objective = MaskedCodes(MaskedCodes.Config(), D, 1, 4)
    count = int(batch.hidden_BT.sum())
    batch.codes_BTQ[batch.hidden_BT] = 2
    assert objective.loss(batch)[1]["label_usage"].item() == pytest.approx(0)
    batch.codes_BTQ[batch.hidden_BT] = (torch.arange(count) % 4)[:, None]
    assert objective.loss(batch)[1]["label_usage"].item() > 0.98


def test_best_rq_labels_equal_a_search_and_stay_as_they_are():
    torch.manual_seed(0)
    objective = BestRq(BestRq.Config(num_codebooks=2, codebook_size=7, codebook_dim=4), D, F_)
    features_MF = torch.randn(20, F_)
    labels_MQ = objective.labels(features_MF)
    for m, feature_F in enumerate(features_MF):
        for q in range(2):
            projected = feature_F @ objective.projection_QFC[q]
            projected = projected / projected.norm()
            distances = [(projected - code).norm().item() for code in objective.codebook_QVC[q]]
            assert labels_MQ[m, q] == distances.index(min(distances))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(objective.labels(features_MF), labels_MQ)
    assert {name for name, _ in objective.named_parameters()} == {"classifier.weight", "classifier.bias"}
    assert {"projection_QFC", "codebook_QVC"} <= objective.state_dict().keys()


def test_best_rq_uses_most_of_its_codes():
    torch.manual_seed(0)
    objective = BestRq(BestRq.Config(num_codebooks=1, codebook_size=256), D, 80)
    used = objective.labels(torch.randn(20000, 80)).unique()
    assert len(used) > 0.9 * 256


def test_distractors_are_other_hidden_frames_of_the_same_row_all_alike():
    torch.manual_seed(0)
    hidden_BT = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()
    rows = hidden_BT.nonzero()[:, 0].tolist()
    drawn_MN, exists_M = draw_distractors(hidden_BT, 3000)
    assert exists_M.tolist() == [True] * 4 + [False] + [True] * 2
    for m, row in enumerate(rows):
        allowed = [other for other, its_row in enumerate(rows) if its_row == row and other != m]
        if allowed:
            counts = torch.bincount(drawn_MN[m], minlength=len(rows))
            assert counts.nonzero()[:, 0].tolist() == allowed
            assert counts[allowed].min() > 0.9 * 3000 / len(allowed)


def test_cross_distractors_are_other_hidden_frames_of_any_row_all_alike():
    torch.manual_seed(0)
    hidden_BT = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]]).bool()
    drawn_MN, _ = draw_distractors(hidden_BT, 2, 3000)
    assert drawn_MN.shape == (6, 3002)
    for m in range(6):
        counts = torch.bincount(drawn_MN[m, 2:], minlength=6)
        others = [other for other in range(6) if other != m]
        assert counts.nonzero()[:, 0].tolist() == others
        assert counts[others].min() > 0.9 * 3000 / 5


def test_contrastive_loss_equals_info_nce_by_hand(monkeypatch):
    batch = make_batch()
    objective = Contrastive(Contrastive.Config(dim=6, num_distractors=4, temperature=0.2), D, F_)
    drawn_MN, exists_M = draw_distractors(batch.hidden_BT, 4)
    monkeypatch.setattr("aio_toolkit.ssl.contrastive.draw_distractors", lambda *_: (drawn_MN, exists_M))
    loss, _ = objective.loss(batch)
    context = objective.context(batch.states[-1][batch.hidden_BT])
    target = objective.target(batch.features_BTF[batch.hidden_BT])
    terms = []
    for m in range(len(context)):
        cosines = [F.cosine_similarity(context[m], target[n], dim=0) / 0.2 for n in [m, *drawn_MN[m].tolist()]]
        terms.append(-cosines[0] + torch.stack(cosines).logsumexp(0))
    torch.testing.assert_close(loss, torch.stack(terms).mean(), atol=1e-5, rtol=1e-5)


def test_contrastive_without_anything_to_compare_has_a_loss_of_zero():
    batch = make_batch()
    batch.hidden_BT = torch.zeros(B, T, dtype=torch.bool)
    batch.hidden_BT[:, 2] = True
    loss, _ = Contrastive(Contrastive.Config(), D, F_).loss(batch)
    assert loss.item() == 0 and loss.requires_grad


def test_the_teacher_sees_everything_and_follows_the_encoder():
    torch.manual_seed(0)
    encoder = SslEncoder(ENCODER, F_)
    config = SelfDistillation.Config(decay=0.9, end_decay=0.5, decay_steps=2)
    objective = SelfDistillation(config, encoder)
    batch = make_batch()
    states = encoder.eval()(batch.features_BTF, batch.valid_BT.sum(1))
    expected = torch.stack([normalise_over_time(state, batch.valid_BT) for state in states]).mean(0)
    torch.testing.assert_close(objective.target(batch), expected)
    old = copy.deepcopy(objective.teacher.state_dict())
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    encoder.mean_F.fill_(3.0)
    for decay in (0.9, 0.7, 0.5, 0.5):
        objective.after_step(encoder)
        for name, parameter in encoder.named_parameters():
            old[name] = decay * old[name] + (1 - decay) * parameter.detach()
            torch.testing.assert_close(objective.teacher.state_dict()[name], old[name])
    assert (objective.teacher.mean_F == 3.0).all()
    assert not any(parameter.requires_grad for parameter in objective.teacher.parameters())


def test_the_teachers_target_does_not_depend_on_padding():
    encoder = SslEncoder(ENCODER, F_)
    objective, batch = SelfDistillation(SelfDistillation.Config(), encoder), make_batch()
    before = objective.target(batch)[batch.valid_BT]
    batch.features_BTF[~batch.valid_BT] = 100.0
    torch.testing.assert_close(objective.target(batch)[batch.valid_BT], before, atol=1e-5, rtol=1e-5)


def test_spread_is_one_for_directions_at_random_and_zero_for_one_direction():
    torch.manual_seed(0)
    assert spread(torch.randn(5000, 32)).item() == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(50, 32) * torch.rand(50, 1)).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_features_do_not_reach_the_encoder(kind):
    """What is hidden may change as it likes: the encoder's states, given the same mask, stay."""
    torch.manual_seed(0)
    model = SslModel(SslModel.Config(ENCODER, ObjectiveConfig(kind)), F_, 3, 5)
    seen = []
    model.objective.loss = lambda batch: (seen.append(batch) or batch.states[-1].sum(), {})
    features, lengths, codes = torch.randn(2, T, F_), torch.tensor([14, 9]), torch.randint(5, (2, T, 3))
    torch.manual_seed(1)
    model(features, lengths, codes)
    torch.manual_seed(1)
    features[seen[0].hidden_BT] += 10.0
    model(features, lengths, codes)
    torch.testing.assert_close(seen[0].states[-1], seen[1].states[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_objective_learns_a_tone_that_rises(kind):
    """Frames follow from their neighbours, so hidden ones can be told. The loss must fall by a fifth."""
    torch.manual_seed(0)
    model = SslModel(SslModel.Config(ENCODER, ObjectiveConfig(kind, span=2)), F_, 2, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(150):
        phase_BT = torch.rand(8, 1) * 8 + torch.arange(24) * 0.5
        features_BTF = torch.stack([(2 * math.pi * phase_BT * (f + 1) / 8).sin() for f in range(F_)], -1)
        codes_BTQ = torch.stack([phase_BT.long() % 8, (phase_BT / 2).long() % 8], -1)
        loss, _ = model(features_BTF, torch.full((8,), 24), codes_BTQ)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.objective.after_step(model.ssl_encoder)
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_what_cannot_be_is_named():
    encoder = SslEncoder(ENCODER, F_)
    with pytest.raises(AioError, match="unknown objective.kind 'hubert'. Choose one of: masked_codes, best_rq"):
        build_objective(ObjectiveConfig("hubert"), encoder, 2, 8)
    with pytest.raises(AioError, match=r"objective.mask_share 1.0 is not in \(0, 1\)"):
        build_objective(ObjectiveConfig(mask_share=1.0), encoder, 2, 8)
