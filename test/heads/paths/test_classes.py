"""The class path against loops over codebooks, sources and frames."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from sound_sources import INNER, C, Q, V, refs, source_frames, sources_of_mixture, units_of

from aio_toolkit.heads.paths.base import SourceFrames
from aio_toolkit.heads.paths.classes import ClassPath
from aio_toolkit.loss import Loss


def make_path(embedding_QVC: torch.Tensor | None = None, **options) -> ClassPath:
    torch.manual_seed(0)
    return ClassPath(ClassPath.Config(**options), INNER, units_of(embedding_QVC))


def loss_of(path: ClassPath, frames: SourceFrames, target_BNTQ, seed: int = 1) -> Loss:
    """`seed` decides which sources are told the codes before."""
    torch.manual_seed(seed)
    return path.loss(frames, refs(target_BNTQ))


# --- weights ---

# Shares that the classifiers of `constant_path` give to each of four codes, whatever the frame.
SHARES = [[0.1, 0.2, 0.5, 0.2], [0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]]


def constant_path(**options) -> ClassPath:
    """Codes of three codebooks with the probabilities `SHARES`."""
    path = make_path(torch.zeros(3, 4, 3), **options)
    for parameter in path.parameters():
        torch.nn.init.zeros_(parameter)
    for classifier, share_V in zip(path.classifiers, SHARES, strict=False):
        classifier.bias.data = torch.tensor(share_V).log()
    return path


# The true codes have probabilities 1/2, 1/4, 1/8, so the codebooks cost 1, 2 and 3 times ln 2.
@pytest.mark.parametrize(
    ("options", "codebook_weight"),
    [
        ({"codebook_decay": 1.0}, [1 / 3, 1 / 3, 1 / 3]),
        ({"codebook_decay": 0.5}, [4 / 7, 2 / 7, 1 / 7]),
        ({"codebook_decay": 0.5, "num_codebooks": 2}, [2 / 3, 1 / 3]),
    ],
)
def test_codebooks_weigh_the_less_the_finer_they_are(options, codebook_weight):
    want = math.log(2) * sum(q * weight for q, weight in enumerate(codebook_weight, start=1))
    frames = source_frames([5, 5], num_sources=4)
    loss = loss_of(constant_path(**options), frames, torch.full((2, 4, 5, 3), 2))
    assert loss.figures["codes"].item() == pytest.approx(want, rel=1e-5)
    assert loss.total.item() == pytest.approx(want, rel=1e-5)


# --- who is told the codes before ---


def slow_loss(path: ClassPath, state_NTD, target_NTQ, told_N) -> float:
    """Cross-entropy of one utterance, where told sources know their true coarser codes."""
    N, T, _ = state_NTD.shape
    costs = []
    for q in range(Q):
        terms = []
        for n, t in itertools.product(range(N), range(T)):
            state_D = state_NTD[n, t]
            for coarser in range(q if told_N[n] else 0):
                code = target_NTQ[n, t, coarser]
                state_D = state_D + path.context[coarser](path.embedding_QVC[coarser, code])
            terms.append(F.cross_entropy(path.classifiers[q](state_D), target_NTQ[n, t, q]))
        costs.append(torch.stack(terms).mean())
    return (sum(costs) / Q).item()


@torch.no_grad()
def test_a_source_is_told_its_true_coarser_codes_in_all_frames_or_in_none():
    path = make_path(codebook_decay=1.0)
    frames, target_BNTQ = source_frames([3], num_sources=4), torch.randint(V, (1, 4, 3, Q))
    possible = {
        told_N: slow_loss(path, frames.g_BNTD[0], target_BNTQ[0], told_N)
        for told_N in itertools.product((False, True), repeat=4)
    }
    seen = set()
    for seed in range(60):
        found = loss_of(path, frames, target_BNTQ, seed).figures["codes"].item()
        seen |= {told_N for told_N, value in possible.items() if abs(value - found) < 1e-5}
        assert min(abs(value - found) for value in possible.values()) < 1e-5
    # Sources are drawn one by one: nearly all of the sixteen choices occur.
    assert len(seen) > 12


def test_half_of_the_sources_are_told():
    """Codebook 1 is right where its context is told and wrong elsewhere: accuracy is the share."""
    path = make_path(torch.eye(3).expand(2, 3, 3).clone())
    for parameter in path.parameters():
        torch.nn.init.zeros_(parameter)
    path.context[0].weight.data[:3] = 9 * torch.eye(3)
    # Code 1 is followed by code 2, code 2 by code 1; who is not told says 0, which never occurs.
    path.classifiers[1].weight.data[:, :3] = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    path.classifiers[1].bias.data[0] = 5.0
    first_BNT = torch.randint(1, 3, (250, 2, 3))
    target_BNTQ = torch.stack([first_BNT, 3 - first_BNT], -1)
    frames = sources_of_mixture(torch.zeros(250, 2, 3, INNER), torch.randn(250, 3, 3))
    figures = loss_of(path, frames, target_BNTQ).figures
    # Three standard deviations of 500 draws.
    assert figures["accuracy_q1"].item() == pytest.approx(0.5, abs=3 * math.sqrt(0.25 / 500))


# --- permutations and padding ---


def test_costs_are_weighted_cross_entropies_of_what_is_told_nothing():
    path, frames = make_path(codebook_decay=0.5), source_frames([4, 2], num_sources=3)
    target_BNTQ = torch.randint(V, (2, 3, 4, Q))
    cost_BNN = path.costs(frames, refs(target_BNTQ))
    assert not cost_BNN.requires_grad
    weight_Q = [4 / 7, 2 / 7, 1 / 7]
    for b, n, m in itertools.product(range(2), range(3), range(3)):
        want = 0.0
        for t, q in itertools.product(range([4, 2][b]), range(Q)):
            logit_V = path.classifiers[q](frames.g_BNTD[b, n, t])
            want += weight_Q[q] * F.cross_entropy(logit_V, target_BNTQ[b, m, t, q]).item()
        assert cost_BNN[b, n, m].item() == pytest.approx(want, rel=1e-5)


@torch.no_grad()
def test_padding_is_neither_scored_nor_counted():
    path, frames = make_path(codebook_decay=1.0), source_frames([4, 2], num_sources=2)
    for context in path.context:
        torch.nn.init.zeros_(context.weight)
    target_BNTQ = torch.randint(V, (2, 2, 4, Q))
    costs, hits = [], []
    for b, n in itertools.product(range(2), range(2)):
        for t in range([4, 2][b]):
            logit_V = path.classifiers[0](frames.g_BNTD[b, n, t])
            costs.append(F.cross_entropy(logit_V, target_BNTQ[b, n, t, 0]).item())
            hits.append(bool(logit_V.argmax() == target_BNTQ[b, n, t, 0]))
    first = make_path(num_codebooks=1)
    first.classifiers[0].load_state_dict(path.classifiers[0].state_dict())
    loss = loss_of(first, frames, target_BNTQ)
    assert loss.total.item() == pytest.approx(sum(costs) / 12, rel=1e-5)
    assert loss.figures["accuracy_q0"].item() == pytest.approx(sum(hits) / 12)


# --- from frames to codes and latents ---


@pytest.mark.parametrize(("num_codebooks", "predicted"), [(2, 2), (None, Q), (9, Q)])
def test_only_the_leading_codebooks_are_classes_where_so_configured(num_codebooks, predicted):
    path = make_path(num_codebooks=num_codebooks)
    frames, target_BNTQ = source_frames([5], num_sources=2), torch.randint(V, (1, 2, 5, Q))
    assert path.argmax_codes(frames).shape == (1, 2, 5, predicted)
    figures = loss_of(path, frames, target_BNTQ).figures
    assert f"accuracy_q{predicted - 1}" in figures and f"accuracy_q{predicted}" not in figures


def test_argmax_chooses_each_codebook_given_the_choices_before_it():
    path, frames = make_path(), source_frames([4], num_sources=4)
    code_BNTQ = path.argmax_codes(frames)
    assert code_BNTQ.shape == (1, 4, 4, Q)
    for n, t in itertools.product(range(4), range(4)):
        state_D = frames.g_BNTD[0, n, t]
        for q in range(Q):
            if q > 0:
                code = code_BNTQ[0, n, t, q - 1]
                state_D = state_D + path.context[q - 1](path.embedding_QVC[q - 1, code])
            assert path.classifiers[q](state_D).argmax() == code_BNTQ[0, n, t, q]


def test_soft_latent_is_the_expectation_over_all_codes():
    path, frames = make_path(), source_frames([2], num_sources=2)
    want = torch.zeros(1, 2, 2, C)
    for n, t, q in itertools.product(range(2), range(2), range(Q)):
        probability_V = path.classifiers[q](frames.g_BNTD[0, n, t]).softmax(-1)
        for v in range(V):
            want[0, n, t] += probability_V[v] * path.embedding_QVC[q, v]
    torch.testing.assert_close(path.soft_latents(frames), want)


@pytest.mark.parametrize("mode", ["argmax", "soft"])
def test_waves_are_decoded_from_the_codes_or_latents_of_the_mode(mode):
    """A codec whose waves are what it is given."""
    path, frames = make_path(), source_frames([4, 4], num_sources=3)
    codec = SimpleNamespace(
        decode=lambda codes_BTQ: codes_BTQ.flatten(1).float(),
        decode_latents=lambda latents_BTC: latents_BTC.flatten(1) * 2,
    )
    waves_BNS = path.outputs(frames, codec, mode)["codec"]
    if mode == "argmax":
        want = path.argmax_codes(frames).flatten(2).float()
    else:
        want = path.soft_latents(frames).flatten(2) * 2
    assert torch.equal(waves_BNS, want)
