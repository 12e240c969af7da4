"""InfoNCE by hand, and which frames may be distractors."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.ssl import contrastive
from aio_toolkit.ssl.base import TargetSizes
from aio_toolkit.ssl.contrastive import Contrastive, draw_distractors


@pytest.fixture
def make_objective(make_encoder):
    def make(**options) -> Contrastive:
        torch.manual_seed(0)
        return Contrastive(Contrastive.Config(**options), make_encoder(), TargetSizes(10, 3, 5))

    return make


def test_distractors_are_other_masked_frames_of_the_same_row_all_alike():
    torch.manual_seed(0)
    masked_BT = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()
    rows = masked_BT.nonzero()[:, 0].tolist()
    drawn_MN, exists_M = draw_distractors(masked_BT, 3000)
    assert exists_M.tolist() == [True] * 4 + [False] + [True] * 2
    for m, row in enumerate(rows):
        allowed = [other for other, its_row in enumerate(rows) if its_row == row and other != m]
        if allowed:
            counts = torch.bincount(drawn_MN[m], minlength=len(rows))
            assert counts.nonzero()[:, 0].tolist() == allowed
            assert counts[allowed].min() > 0.9 * 3000 / len(allowed)


def test_cross_distractors_are_other_masked_frames_of_any_row_all_alike():
    torch.manual_seed(0)
    masked_BT = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]]).bool()
    drawn_MN, _ = draw_distractors(masked_BT, 2, 3000)
    assert drawn_MN.shape == (6, 3002)
    for m in range(6):
        counts = torch.bincount(drawn_MN[m, 2:], minlength=6)
        others = [other for other in range(6) if other != m]
        assert counts.nonzero()[:, 0].tolist() == others
        assert counts[others].min() > 0.9 * 3000 / 5


def fix_draws(monkeypatch, batch, *counts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The distractors that every later draw returns."""
    draws = draw_distractors(batch.masked_BT, *counts)
    monkeypatch.setattr(contrastive, "draw_distractors", lambda *_: draws)
    return draws


@pytest.mark.parametrize("temperature", [0.2, 1.5])
def test_the_loss_equals_info_nce_by_hand(monkeypatch, make_batch, make_objective, temperature):
    batch = make_batch()
    objective = make_objective(dim=6, num_distractors=4, temperature=temperature)
    drawn_MN, _ = fix_draws(monkeypatch, batch, 4)
    context_MC = objective.context(batch.states[-1][batch.masked_BT])
    target_MC = objective.target(batch.features_BTF[batch.masked_BT])
    terms, hits = [], []
    for m, context_C in enumerate(context_MC):
        candidates = [target_MC[n] for n in (m, *drawn_MN[m].tolist())]
        cosines = [F.cosine_similarity(context_C, target_C, dim=0) for target_C in candidates]
        logits = torch.stack(cosines) / temperature
        terms.append(logits.logsumexp(0) - logits[0])
        hits.append(float(logits[0] >= logits.max()))
    loss = objective.loss(batch)
    torch.testing.assert_close(loss.total, torch.stack(terms).mean(), atol=1e-5, rtol=1e-5)
    assert loss.figures["accuracy"].item() == pytest.approx(sum(hits) / len(hits))


def test_the_configured_numbers_of_distractors_are_drawn(monkeypatch, make_batch, make_objective):
    asked = []

    def noting(masked_BT, *counts):
        asked.append(counts)
        return draw_distractors(masked_BT, *counts)

    monkeypatch.setattr(contrastive, "draw_distractors", noting)
    make_objective(num_distractors=3, cross_distractors=2).loss(make_batch())
    assert asked == [(3, 2)]


def test_a_distractor_that_equals_the_target_is_no_miss(make_batch, make_objective):
    batch = make_batch()
    batch.features_BTF[:] = 1.0  # all frames alike, as in silence
    loss = make_objective(num_distractors=4).loss(batch)
    assert loss.figures["accuracy"].item() == 1.0
    assert loss.figures["target_std"].item() == pytest.approx(0, abs=1e-5)
    assert loss.total.item() == pytest.approx(torch.tensor(5.0).log().item(), rel=1e-5)


def test_without_anything_to_compare_the_loss_is_zero(make_batch, make_objective):
    batch = make_batch()
    batch.masked_BT = torch.zeros_like(batch.masked_BT)
    batch.masked_BT[:, 2] = True
    total = make_objective().loss(batch).total
    assert total.item() == 0 and total.requires_grad
