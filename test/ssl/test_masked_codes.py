"""Prediction of codec codes against a loop over masked frames."""

import dataclasses

import pytest
import scipy.stats
import torch
import torch.nn.functional as F

from aio_toolkit.ssl.base import TargetSizes
from aio_toolkit.ssl.masked_codes import MaskedCodes


@pytest.fixture
def make_objective(make_encoder):
    def make(Q: int, V: int, **options) -> MaskedCodes:
        torch.manual_seed(0)
        return MaskedCodes(MaskedCodes.Config(**options), make_encoder(), TargetSizes(10, Q, V))

    return make


def slow_terms(objective, batch, q: int, V: int) -> tuple[torch.Tensor, float]:
    """Cross-entropy of every masked frame under classifier q, and its accuracy."""
    weight_VD = objective.classifier.weight[q * V : (q + 1) * V]
    bias_V = objective.classifier.bias[q * V : (q + 1) * V]
    terms, hits = [], []
    for b, t in batch.masked_BT.nonzero().tolist():
        logit_V = weight_VD @ batch.states[-1][b, t] + bias_V
        terms.append(F.cross_entropy(logit_V, batch.codes_BTQ[b, t, q]))
        hits.append(bool(logit_V.argmax() == batch.codes_BTQ[b, t, q]))
    return torch.stack(terms), sum(hits) / len(hits)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"codebook_decay": 0.5}, [4 / 7, 2 / 7, 1 / 7]),
        ({"codebook_decay": 1.0}, [1 / 3, 1 / 3, 1 / 3]),
        ({"codebook_decay": 0.5, "num_codebooks": 2}, [2 / 3, 1 / 3]),
        ({"codebook_decay": 0.5, "num_codebooks": 7}, [4 / 7, 2 / 7, 1 / 7]),
    ],
)
def test_the_loss_is_the_weighted_cross_entropy_of_each_codebook(
    make_batch, make_objective, options, weights
):
    batch, objective = make_batch(Q=3, V=5), make_objective(3, 5, **options)
    loss = objective.loss(batch)
    want = 0.0
    for q, weight in enumerate(weights):
        terms, accuracy = slow_terms(objective, batch, q, 5)
        want += weight * terms.mean()
        assert loss.figures[f"accuracy_q{q}"].item() == pytest.approx(accuracy)
        perplexity = terms.mean().exp().item()
        assert loss.figures[f"perplexity_q{q}"].item() == pytest.approx(perplexity, rel=1e-5)
    torch.testing.assert_close(loss.total, want)
    assert f"accuracy_q{len(weights)}" not in loss.figures


def test_only_masked_frames_of_the_last_layer_get_a_gradient(make_batch, make_objective):
    batch, objective = make_batch(Q=3, V=5), make_objective(3, 5)
    objective.loss(batch).total.backward()
    assert batch.states[0].grad is None
    assert torch.equal(batch.states[1].grad.abs().sum(-1) > 0, batch.masked_BT)


def test_label_usage_is_the_mean_entropy_of_labels_as_a_share_of_the_greatest(
    make_batch, make_objective
):
    batch, objective = make_batch(Q=2, V=4), make_objective(2, 4)
    count = int(batch.masked_BT.sum())
    labels_MQ = torch.stack([torch.arange(count) % 4, (torch.arange(count) < 5).long()], 1)
    batch.codes_BTQ[batch.masked_BT] = labels_MQ
    want = 0.0
    for labels_M in labels_MQ.T:
        share_V = torch.bincount(labels_M, minlength=4) / count
        want += scipy.stats.entropy(share_V.numpy(), base=4) / 2
    usage = objective.loss(batch).figures["label_usage"]
    assert usage.item() == pytest.approx(want, abs=1e-5)


def test_label_usage_is_zero_where_all_labels_are_equal(make_batch, make_objective):
    batch, objective = make_batch(Q=1, V=4), make_objective(1, 4)
    batch.codes_BTQ[batch.masked_BT] = 2
    assert objective.loss(batch).figures["label_usage"].item() == pytest.approx(0)


def test_rows_without_codes_are_left_out(make_batch, make_objective):
    """Mixtures made on the fly have none: the loss is that of the other rows alone."""
    objective, batch = make_objective(3, 5), make_batch()
    batch.codes_BTQ[1] = -1
    others = dataclasses.replace(batch, masked_BT=batch.masked_BT.clone())
    others.masked_BT[1] = False
    found = objective.loss(batch)
    torch.testing.assert_close(found.total, objective.loss(others).total)
    share = batch.masked_BT[1].sum() / batch.masked_BT.sum()
    torch.testing.assert_close(found.figures["rows_without_codes"], share)


def test_a_batch_without_any_codes_has_a_loss_of_zero_and_gradients(make_batch, make_objective):
    objective, batch = make_objective(3, 5), make_batch()
    batch.codes_BTQ[:] = -1
    loss = objective.loss(batch).total
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in objective.parameters())
