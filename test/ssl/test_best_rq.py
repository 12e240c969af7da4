"""Random-projection labels against a search, and the loss on them against a loop."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.ssl.base import TargetSizes
from aio_toolkit.ssl.best_rq import BestRq

NUM_FEATURES = 10


@pytest.fixture
def make_objective(make_encoder):
    def make(num_features: int = NUM_FEATURES, **options) -> BestRq:
        torch.manual_seed(0)
        return BestRq(BestRq.Config(**options), make_encoder(), TargetSizes(num_features, 3, 5))

    return make


@pytest.fixture
def objective(make_objective) -> BestRq:
    return make_objective(num_codebooks=2, codebook_size=7, codebook_dim=4)


def slow_label(objective: BestRq, feature_F: torch.Tensor, q: int) -> int:
    """Index of the nearest code to the projection, both of norm one (Chiu et al. 2022, Eq. 1)."""
    projected = feature_F @ objective.projection_QFC[q]
    projected = projected / projected.norm()
    distances = [(projected - code).norm().item() for code in objective.codebook_QVC[q]]
    return distances.index(min(distances))


def test_labels_are_those_of_a_search(objective):
    features_MF = torch.randn(20, NUM_FEATURES)
    want = [[slow_label(objective, feature_F, q) for q in range(2)] for feature_F in features_MF]
    assert objective.labels(features_MF).tolist() == want


def test_codes_have_norm_one(objective):
    torch.testing.assert_close(objective.codebook_QVC.norm(dim=-1), torch.ones(2, 7))


def test_labels_are_the_same_in_half_precision(objective):
    features_MF = torch.randn(20, NUM_FEATURES)
    labels_MQ = objective.labels(features_MF)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(objective.labels(features_MF), labels_MQ)


def test_the_quantizer_is_kept_and_never_trained(objective):
    parameters = {name for name, _ in objective.named_parameters()}
    assert parameters == {"classifier.weight", "classifier.bias"}
    assert {"projection_QFC", "codebook_QVC"} <= objective.state_dict().keys()


def test_most_codes_are_used(make_objective):
    wide = make_objective(80, num_codebooks=1, codebook_size=256)
    used = wide.labels(torch.randn(20000, 80)).unique()
    assert len(used) > 0.9 * 256


def test_the_loss_is_the_mean_cross_entropy_of_codebooks_on_masked_frames(objective, make_batch):
    batch = make_batch()
    terms = []
    for b, t in batch.masked_BT.nonzero().tolist():
        logit_QV = objective.classifier(batch.states[-1][b, t]).view(2, 7)
        for q in range(2):
            label = slow_label(objective, batch.features_BTF[b, t], q)
            terms.append(F.cross_entropy(logit_QV[q], torch.tensor(label)))
    torch.testing.assert_close(objective.loss(batch).total, torch.stack(terms).mean())
