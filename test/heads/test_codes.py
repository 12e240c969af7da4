"""The codes head against exhaustive search and direct definitions."""

import itertools

import pytest
import torch

from aio_toolkit.heads.codes import CodesHead, best_order, latent_errors

Q, V, C = 3, 7, 5


@pytest.fixture
def head() -> CodesHead:
    torch.manual_seed(0)
    return CodesHead(CodesHead.Config(hidden=12), 10, torch.randn(Q, V, C), ["sep", "sound", "music"])


def test_the_best_order_is_that_of_an_exhaustive_search():
    torch.manual_seed(0)
    estimate, true = torch.randn(4, 3, 6, C), torch.randn(4, 3, 6, C)
    order_BN = best_order(latent_errors(estimate, true))
    for b in range(4):

        def cost(order, b=b):
            return sum(((estimate[b, n] - true[b, m]) ** 2).sum() for n, m in enumerate(order))

        assert order_BN[b].tolist() == list(min(itertools.permutations(range(3)), key=cost))


def loss_of(head, h_BTD, lengths_B, target, task, mixture_BTC):
    torch.manual_seed(1)
    return head.loss(h_BTD, lengths_B, target, task, mixture_BTC).total


@pytest.fixture
def trained(head):
    """A head whose estimates differ from one another, as they do not at the start."""
    torch.nn.init.normal_(head.latent.weight, std=0.3)
    return head


def test_loss_of_a_permutation_task_does_not_depend_on_the_order_of_references(trained):
    inputs = torch.randn(2, 9, 10), torch.tensor([9, 6])
    target, mixture = torch.randint(V, (2, 2, 9, Q)), torch.randn(2, 9, C)
    a = loss_of(trained, *inputs, target, "sep", mixture)
    b = loss_of(trained, *inputs, target.flip(1), "sep", mixture)
    torch.testing.assert_close(a, b)


def test_loss_of_a_query_task_depends_on_the_order_of_references(trained):
    inputs = torch.randn(2, 9, 10), torch.tensor([9, 6])
    target, mixture = torch.randint(V, (2, 4, 9, Q)), torch.randn(2, 9, C)
    a = loss_of(trained, *inputs, target, "music", mixture)
    b = loss_of(trained, *inputs, target.flip(1), "music", mixture)
    assert abs(a - b) > 1e-4


def test_padding_does_not_enter_the_loss(trained):
    h_BTD, target, mixture = torch.randn(1, 5, 10), torch.randint(V, (1, 2, 5, Q)), torch.randn(1, 5, C)
    a = loss_of(trained, h_BTD, torch.tensor([5]), target, "sep", mixture)
    padded_h = torch.cat([h_BTD, torch.randn(1, 3, 10) * 9], 1)
    padded_target = torch.cat([target, torch.full((1, 2, 3, Q), -1)], 2)
    padded_mixture = torch.cat([mixture, torch.randn(1, 3, C) * 9], 1)
    b = loss_of(trained, padded_h, torch.tensor([5]), padded_target, "sep", padded_mixture)
    torch.testing.assert_close(a, b)


def test_the_latent_loss_is_the_negative_log_snr(trained):
    h_BTD, target, mixture = torch.randn(1, 5, 10), torch.randint(V, (1, 4, 5, Q)), torch.randn(1, 5, C)
    loss = trained.loss(h_BTD, torch.tensor([5]), target, "music", mixture)
    true_NTC = trained.embed(target)[0]
    error_NTC = trained.latents(h_BTD, "music", mixture)[0] - true_NTC
    floor = 0.01 * mixture.square().sum()
    snr = [(t.square().sum() + floor) / (e.square().sum() + floor) for t, e in zip(true_NTC, error_NTC, strict=True)]
    want = torch.stack([10 * value.log10() for value in snr]).mean()
    torch.testing.assert_close(loss.figures["latent_snr"], want, atol=1e-3, rtol=1e-4)


def test_estimates_start_as_equal_shares_of_the_mixture(head):
    h_BTD, mixture = torch.randn(2, 7, 10), torch.randn(2, 7, C)
    torch.testing.assert_close(head.latents(h_BTD, "music", mixture), mixture[:, None].expand(2, 4, 7, C) / 4)


def test_embedded_codes_sum_the_codec_s_vectors(head):
    codes = torch.randint(V, (2, 3, 4, Q))
    want = torch.zeros(2, 3, 4, C)
    for b, n, t, q in itertools.product(range(2), range(3), range(4), range(Q)):
        want[b, n, t] += head.embedding_QVC[q, codes[b, n, t, q]]
    torch.testing.assert_close(head.embed(codes), want)


def test_only_the_leading_codebooks_are_classes_where_so_configured():
    head = CodesHead(CodesHead.Config(hidden=12, num_codebooks=2), 10, torch.randn(Q, V, C), ["sep"])
    h_BTD, target = torch.randn(1, 5, 10), torch.randint(V, (1, 2, 5, Q))
    assert head.argmax_codes(h_BTD, "sep").shape == (1, 2, 5, 2)
    figures = head.loss(h_BTD, torch.tensor([5]), target, "sep", torch.randn(1, 5, C)).figures
    assert "accuracy_q1" in figures and "accuracy_q2" not in figures


def test_argmax_chooses_each_codebook_given_the_choices_before_it(head):
    h_BTD = torch.randn(1, 4, 10)
    codes = head.argmax_codes(h_BTD, "music")
    assert codes.shape == (1, 4, 4, Q)
    state = head.split(h_BTD, "music")
    for n, t in itertools.product(range(4), range(4)):
        vector = state[0, n, t]
        for q in range(Q):
            if q > 0:
                vector = vector + head.context[q - 1](head.embedding_QVC[q - 1, codes[0, n, t, q - 1]])
            assert head.classifiers[q](vector).argmax() == codes[0, n, t, q]


def test_soft_latent_is_the_expectation_over_all_codes(head):
    h_BTD = torch.randn(1, 2, 10)
    got = head.soft_latents(h_BTD, "sep")
    state = head.split(h_BTD, "sep")
    expected = torch.zeros(1, 2, 2, C)
    for n, t, q in itertools.product(range(2), range(2), range(Q)):
        probability = head.classifiers[q](state[0, n, t]).softmax(-1)
        for v in range(V):
            expected[0, n, t] += probability[v] * head.embedding_QVC[q, v]
    torch.testing.assert_close(got, expected)


def test_learns_codes_that_are_a_function_of_the_frames(head):
    torch.manual_seed(0)
    inputs = torch.eye(10)[:V][torch.randint(V, (8, 12))]
    target = inputs.argmax(-1)[:, None, :, None].expand(8, 4, 12, Q).contiguous()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = head.loss(inputs, torch.full((8,), 12), target, "music", torch.zeros(8, 12, C))
        loss.total.backward()
        optimizer.step()
    assert (head.argmax_codes(inputs, "music") == target).float().mean() > 0.99
    assert loss.figures["latent_snr"] > 15
