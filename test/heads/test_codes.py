"""The codes head against exhaustive search, slow loops and closed forms."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.heads.base import HeadLoss
from aio_toolkit.heads.codes import CodesHead, best_order, latent_errors
from aio_toolkit.tasks import get_task

WIDTH, HIDDEN = 10, 12
Q, V, C = 3, 7, 5
TASKS = ("sep", "enh", "sound", "music")


def make_head(embedding_QVC: torch.Tensor | None = None, **options) -> CodesHead:
    torch.manual_seed(0)
    if embedding_QVC is None:
        embedding_QVC = torch.randn(Q, V, C)
    config = CodesHead.Config(hidden=HIDDEN, **options)
    return CodesHead(config, WIDTH, embedding_QVC, list(TASKS))


def make_trained(**options) -> CodesHead:
    """A head whose estimates differ from one another, as they do not at the start."""
    head = make_head(**options)
    torch.nn.init.normal_(head.latent.weight, std=0.3)
    return head


@pytest.fixture
def head() -> CodesHead:
    return make_head()


@pytest.fixture
def trained() -> CodesHead:
    return make_trained()


def loss_of(head, h_BTD, lengths, target_BNTQ, task, mixture_BTC, seed=1) -> HeadLoss:
    """`seed` decides which sources are told the codes before."""
    torch.manual_seed(seed)
    return head.loss(h_BTD, torch.tensor(lengths), target_BNTQ, task, mixture_BTC)


# --- the loss as a whole ---

# Shares that the classifiers of `constant_head` give to each of four codes, whatever the frame.
SHARES = [[0.1, 0.2, 0.5, 0.2], [0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]]


def constant_head(**options) -> CodesHead:
    """Codes of three codebooks with the probabilities `SHARES`; code 2 stands for (1/4, 0, 0)."""
    embedding_QVC = torch.zeros(3, 4, 3)
    embedding_QVC[0, 2, 0] = 0.25
    head = make_head(embedding_QVC, **options)
    for parameter in (*head.classifiers.parameters(), *head.context.parameters()):
        torch.nn.init.zeros_(parameter)
    for classifier, share_V in zip(head.classifiers, SHARES, strict=False):
        classifier.bias.data = torch.tensor(share_V).log()
    return head


def constant_loss(head: CodesHead) -> HeadLoss:
    """Four equal stems, which are just what the head starts from: quarters of the mixture."""
    mixture_BTC = torch.tensor([1.0, 0.0, 0.0]).expand(2, 5, 3)
    target_BNTQ = torch.full((2, 4, 5, 3), 2)
    return loss_of(head, torch.randn(2, 5, WIDTH), [5, 5], target_BNTQ, "music", mixture_BTC)


# The true codes have probabilities 1/2, 1/4, 1/8, so the codebooks cost 1, 2 and 3 times ln 2.
# A stem has 1/16 of the mixture's energy and its estimate no error; the floor is 1/100 of it.
LATENT = math.log(0.01 / (1 / 16 + 0.01))


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
    loss = constant_loss(constant_head(**options, latent_weight=0.0))
    assert loss.figures["codes"].item() == pytest.approx(want, rel=1e-5)
    assert loss.total.item() == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("codes_weight", "latent_weight"), [(1, 0), (0, 1), (0.3, 2), (3, 0.5)])
def test_the_loss_is_the_weighted_sum_of_classes_and_latents(codes_weight, latent_weight):
    weights = {"codes_weight": codes_weight, "latent_weight": latent_weight}
    loss = constant_loss(constant_head(codebook_decay=1.0, **weights))
    want = codes_weight * 2 * math.log(2) + latent_weight * LATENT
    assert loss.total.item() == pytest.approx(want, rel=1e-4)
    assert loss.figures["latent_snr"].item() == pytest.approx(-10 * LATENT / math.log(10), rel=1e-4)


def slow_latent_loss(estimate_NTC, true_NTC, mixture_TC) -> torch.Tensor:
    """Mean over sources of the log of error over energy, both with the floor."""
    floor = 0.01 * mixture_TC.square().sum()
    ratios = []
    for estimate_TC, true_TC in zip(estimate_NTC, true_NTC, strict=True):
        error = (estimate_TC - true_TC).square().sum()
        ratios.append(((error + floor) / (true_TC.square().sum() + floor)).log())
    return torch.stack(ratios).mean()


def slow_order(estimate_NTC, true_NTC, task: str) -> tuple[int, ...]:
    """For each estimate the source it is compared with."""
    straight = tuple(range(len(true_NTC)))
    if task == "music":
        return straight

    def error(order):
        return (estimate_NTC - true_NTC[list(order)]).square().sum()

    return min(itertools.permutations(straight), key=error)


def ragged_example(task: str) -> tuple:
    """Arguments of `loss_of`: three utterances of different length, whose padding holds -1."""
    N, lengths = len(get_task(task).sources), [9, 5, 6]
    target_BNTQ = torch.randint(V, (3, N, 9, Q))
    for target_NTQ, length in zip(target_BNTQ, lengths, strict=True):
        target_NTQ[:, length:] = -1
    return torch.randn(3, 9, WIDTH), lengths, target_BNTQ, task, torch.randn(3, 9, C)


def one_by_one(head: CodesHead, example: tuple):
    """Of each utterance alone: frames, estimates, the targets that they are to meet, mixture."""
    for h_TD, length, target_NTQ, mixture_TC in zip(*example[:3], example[4], strict=True):
        task, h_1TD = example[3], h_TD[None, :length]
        target_NTQ, mixture_TC = target_NTQ[:, :length], mixture_TC[:length]
        estimate_NTC = head.latents(h_1TD, task, mixture_TC[None])[0]
        order = slow_order(estimate_NTC, head.embed(target_NTQ), task)
        state_NTD = head.split(h_1TD, task)[0]
        yield state_NTD, estimate_NTC, target_NTQ[list(order)], mixture_TC


@pytest.mark.parametrize("task", ["sep", "sound", "music"])
def test_the_latent_loss_equals_a_loop_over_utterances(task):
    head = make_trained(codes_weight=0.0)
    example = ragged_example(task)
    terms = [
        slow_latent_loss(estimate_NTC, head.embed(target_NTQ), mixture_TC)
        for _, estimate_NTC, target_NTQ, mixture_TC in one_by_one(head, example)
    ]
    want = torch.stack(terms).mean()
    torch.testing.assert_close(loss_of(head, *example).total, want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("task", ["sep", "sound", "music"])
@torch.no_grad()
def test_the_loss_of_classes_equals_a_loop_over_frames(task):
    """Without context it does not matter who is told."""
    head = make_trained(codebook_decay=1.0, latent_weight=0.0)
    for context in head.context:
        torch.nn.init.zeros_(context.weight)
    example = ragged_example(task)
    costs_Q, hits_Q = [[] for _ in range(Q)], [[] for _ in range(Q)]
    for state_NTD, _, target_NTQ, _ in one_by_one(head, example):
        for n, t, q in itertools.product(*map(range, target_NTQ.shape)):
            logit_V, code = head.classifiers[q](state_NTD[n, t]), target_NTQ[n, t, q]
            costs_Q[q].append(F.cross_entropy(logit_V, code).item())
            hits_Q[q].append(bool(logit_V.argmax() == code))
    loss = loss_of(head, *example)
    want = sum(sum(costs) / len(costs) for costs in costs_Q) / Q
    assert loss.total.item() == pytest.approx(want, rel=1e-5)
    for q, hits in enumerate(hits_Q):
        assert loss.figures[f"accuracy_q{q}"].item() == pytest.approx(sum(hits) / len(hits))


def test_the_examples_of_permuted_tasks_need_several_permutations():
    head = make_trained()
    for task in ("sep", "sound"):
        orders = set()
        h_BTD, lengths, target_BNTQ, _, mixture_BTC = ragged_example(task)
        estimate_BNTC = head.latents(h_BTD, task, mixture_BTC)
        for b, length in enumerate(lengths):
            true_NTC = head.embed(target_BNTQ[b, :, :length])
            orders.add(slow_order(estimate_BNTC[b, :, :length], true_NTC, task))
        assert len(orders) > 1


# --- who is told the codes before ---


def slow_codes_loss(head, h_TD, target_NTQ, told_N) -> float:
    """Cross-entropy of one utterance, where told sources know their true coarser codes."""
    state_NTD = head.split(h_TD[None], "music")[0]
    N, T, _ = state_NTD.shape
    costs = []
    for q in range(Q):
        terms = []
        for n, t in itertools.product(range(N), range(T)):
            state_D = state_NTD[n, t]
            for coarser in range(q if told_N[n] else 0):
                code = target_NTQ[n, t, coarser]
                state_D = state_D + head.context[coarser](head.embedding_QVC[coarser, code])
            terms.append(F.cross_entropy(head.classifiers[q](state_D), target_NTQ[n, t, q]))
        costs.append(torch.stack(terms).mean())
    return (sum(costs) / Q).item()


@torch.no_grad()
def test_a_source_is_told_its_true_coarser_codes_in_all_frames_or_in_none():
    head = make_head(codebook_decay=1.0)
    h_BTD, target_BNTQ = torch.randn(1, 3, WIDTH), torch.randint(V, (1, 4, 3, Q))
    possible = {
        told_N: slow_codes_loss(head, h_BTD[0], target_BNTQ[0], told_N)
        for told_N in itertools.product((False, True), repeat=4)
    }
    seen = set()
    for seed in range(60):
        loss = loss_of(head, h_BTD, [3], target_BNTQ, "music", torch.randn(1, 3, C), seed)
        found = loss.figures["codes"].item()
        seen |= {told_N for told_N, value in possible.items() if abs(value - found) < 1e-5}
        assert min(abs(value - found) for value in possible.values()) < 1e-5
    # Sources are drawn one by one: nearly all of the sixteen choices occur.
    assert len(seen) > 12


def test_half_of_the_sources_are_told():
    """Codebook 1 is right where its context is told and wrong elsewhere: accuracy is the share."""
    head = make_head(torch.eye(3).expand(2, 3, 3).clone())
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    head.context[0].weight.data[:3] = 9 * torch.eye(3)
    # Code 1 is followed by code 2, code 2 by code 1; who is not told says 0, which never occurs.
    head.classifiers[1].weight.data[:, :3] = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    head.classifiers[1].bias.data[0] = 5.0
    first_BNT = torch.randint(1, 3, (250, 2, 3))
    target_BNTQ = torch.stack([first_BNT, 3 - first_BNT], -1)
    inputs = torch.randn(250, 3, WIDTH), [3] * 250, target_BNTQ
    figures = loss_of(head, *inputs, "sep", torch.randn(250, 3, 3)).figures
    # Three standard deviations of 500 draws.
    assert figures["accuracy_q1"].item() == pytest.approx(0.5, abs=3 * math.sqrt(0.25 / 500))


# --- permutations and padding ---


def test_the_best_order_is_that_of_an_exhaustive_search():
    torch.manual_seed(0)
    estimate, true = torch.randn(4, 3, 6, C), torch.randn(4, 3, 6, C)
    order_BN = best_order(latent_errors(estimate, true))
    for b in range(4):
        assert order_BN[b].tolist() == list(slow_order(estimate[b], true[b], "sound"))


def test_latent_errors_have_the_estimate_first_and_the_target_second():
    estimate, true = torch.randn(2, 3, 4, C), torch.randn(2, 2, 4, C)
    error_BNM = latent_errors(estimate, true)
    assert error_BNM.shape == (2, 3, 2)
    for b, n, m in itertools.product(range(2), range(3), range(2)):
        want = (estimate[b, n] - true[b, m]).square().sum()
        torch.testing.assert_close(error_BNM[b, n, m], want, atol=1e-3, rtol=1e-4)


def test_loss_of_a_permutation_task_does_not_depend_on_the_order_of_references(trained):
    h_BTD, mixture_BTC = torch.randn(2, 9, WIDTH), torch.randn(2, 9, C)
    target_BNTQ = torch.randint(V, (2, 2, 9, Q))
    a = loss_of(trained, h_BTD, [9, 6], target_BNTQ, "sep", mixture_BTC)
    b = loss_of(trained, h_BTD, [9, 6], target_BNTQ.flip(1), "sep", mixture_BTC)
    torch.testing.assert_close(a.total, b.total)


@pytest.mark.parametrize("task", ["enh", "music"])
def test_loss_of_a_query_task_depends_on_the_order_of_references(trained, task):
    h_BTD, mixture_BTC = torch.randn(2, 9, WIDTH), torch.randn(2, 9, C)
    target_BNTQ = torch.randint(V, (2, len(get_task(task).sources), 9, Q))
    a = loss_of(trained, h_BTD, [9, 6], target_BNTQ, task, mixture_BTC)
    b = loss_of(trained, h_BTD, [9, 6], target_BNTQ.flip(1), task, mixture_BTC)
    assert abs(a.total - b.total) > 1e-4


def test_padding_does_not_enter_the_loss(trained):
    h_BTD, mixture_BTC = torch.randn(1, 5, WIDTH), torch.randn(1, 5, C)
    target_BNTQ = torch.randint(V, (1, 2, 5, Q))
    a = loss_of(trained, h_BTD, [5], target_BNTQ, "sep", mixture_BTC)
    padded_h = torch.cat([h_BTD, torch.randn(1, 3, WIDTH) * 9], 1)
    padded_target = torch.cat([target_BNTQ, torch.full((1, 2, 3, Q), -1)], 2)
    padded_mixture = torch.cat([mixture_BTC, torch.randn(1, 3, C) * 9], 1)
    b = loss_of(trained, padded_h, [5], padded_target, "sep", padded_mixture)
    torch.testing.assert_close(a.total, b.total)


# --- from frames to latents and codes ---


def test_estimates_start_as_equal_shares_of_the_mixture(head):
    h_BTD, mixture_BTC = torch.randn(2, 7, WIDTH), torch.randn(2, 7, C)
    want = (mixture_BTC / 4)[:, None].expand(2, 4, 7, C)
    torch.testing.assert_close(head.latents(h_BTD, "music", mixture_BTC), want)


def test_an_estimate_is_a_mask_on_the_mixture_plus_a_remainder(trained):
    h_BTD, mixture_BTC = torch.randn(2, 3, WIDTH), torch.randn(2, 3, C)
    estimate_BNTC = trained.latents(h_BTD, "sep", mixture_BTC)
    state_BNTD = trained.split(h_BTD, "sep")
    for b, n, t in itertools.product(range(2), range(2), range(3)):
        mask_C, rest_C = trained.latent(trained.latent_norm(state_BNTD[b, n, t])).split(C)
        want = (mask_C + 1 / 2) * mixture_BTC[b, t] + rest_C
        torch.testing.assert_close(estimate_BNTC[b, n, t], want)


@pytest.mark.parametrize(
    ("task", "sources"), [("enh", ["speech", "noise"]), ("sound", ["sound1", "sound2", "sound3"])]
)
def test_every_source_is_asked_for_by_its_own_layer_in_the_order_of_the_task(head, task, sources):
    h_BTD = torch.randn(1, 2, WIDTH)
    before_BNTD = head.split(h_BTD, task)
    assert before_BNTD.shape == (1, len(sources), 2, HIDDEN)
    for n, source in enumerate(sources):
        changed = make_head()
        changed.queries[f"{task}_{source}"].bias.data += 1.0
        moved_N = (changed.split(h_BTD, task) != before_BNTD).any(-1).any(-1)[0]
        assert moved_N.nonzero().flatten().tolist() == [n]


def test_embedded_codes_sum_the_codec_s_vectors(head):
    code_BNTQ = torch.randint(V, (2, 3, 4, Q))
    want = torch.zeros(2, 3, 4, C)
    for b, n, t, q in itertools.product(range(2), range(3), range(4), range(Q)):
        want[b, n, t] += head.embedding_QVC[q, code_BNTQ[b, n, t, q]]
    torch.testing.assert_close(head.embed(code_BNTQ), want)


def test_only_the_leading_codebooks_are_classes_where_so_configured():
    head = make_head(num_codebooks=2)
    h_BTD, target_BNTQ = torch.randn(1, 5, WIDTH), torch.randint(V, (1, 2, 5, Q))
    assert head.argmax_codes(h_BTD, "sep").shape == (1, 2, 5, 2)
    figures = loss_of(head, h_BTD, [5], target_BNTQ, "sep", torch.randn(1, 5, C)).figures
    assert "accuracy_q1" in figures and "accuracy_q2" not in figures


def test_argmax_chooses_each_codebook_given_the_choices_before_it(head):
    h_BTD = torch.randn(1, 4, WIDTH)
    code_BNTQ = head.argmax_codes(h_BTD, "music")
    assert code_BNTQ.shape == (1, 4, 4, Q)
    state_BNTD = head.split(h_BTD, "music")
    for n, t in itertools.product(range(4), range(4)):
        state_D = state_BNTD[0, n, t]
        for q in range(Q):
            if q > 0:
                code = code_BNTQ[0, n, t, q - 1]
                state_D = state_D + head.context[q - 1](head.embedding_QVC[q - 1, code])
            assert head.classifiers[q](state_D).argmax() == code_BNTQ[0, n, t, q]


def test_soft_latent_is_the_expectation_over_all_codes(head):
    h_BTD = torch.randn(1, 2, WIDTH)
    state_BNTD = head.split(h_BTD, "sep")
    want = torch.zeros(1, 2, 2, C)
    for n, t, q in itertools.product(range(2), range(2), range(Q)):
        probability_V = head.classifiers[q](state_BNTD[0, n, t]).softmax(-1)
        for v in range(V):
            want[0, n, t] += probability_V[v] * head.embedding_QVC[q, v]
    torch.testing.assert_close(head.soft_latents(h_BTD, "sep"), want)


def test_keeping_one_task_keeps_its_answers_and_forgets_the_others(trained):
    h_BTD, mixture_BTC = torch.randn(1, 4, WIDTH), torch.randn(1, 4, C)
    want = trained.latents(h_BTD, "enh", mixture_BTC)
    trained.keep("enh")
    assert torch.equal(trained.latents(h_BTD, "enh", mixture_BTC), want)
    assert sorted(trained.queries) == ["enh_noise", "enh_speech"]


def test_a_new_task_gets_layers_of_its_own_and_leaves_the_others(trained):
    h_BTD, mixture_BTC = torch.randn(1, 4, WIDTH), torch.randn(1, 4, C)
    trained.keep("sep")
    before, old = trained.latents(h_BTD, "sep", mixture_BTC), set(trained.parameters())
    own = trained.add_task("enh")
    assert set(own) == set(trained.parameters()) - old
    assert trained.latents(h_BTD, "enh", mixture_BTC).shape == (1, 2, 4, C)
    assert torch.equal(trained.latents(h_BTD, "sep", mixture_BTC), before)


def test_learns_codes_that_are_a_function_of_the_frames(head):
    torch.manual_seed(0)
    inputs = torch.eye(WIDTH)[:V][torch.randint(V, (8, 12))]
    target = inputs.argmax(-1)[:, None, :, None].expand(8, 4, 12, Q).contiguous()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = head.loss(inputs, torch.full((8,), 12), target, "music", torch.zeros(8, 12, C))
        loss.total.backward()
        optimizer.step()
    assert (head.argmax_codes(inputs, "music") == target).float().mean() > 0.99
    assert loss.figures["latent_snr"] > 15
