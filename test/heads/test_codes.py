"""The codes head against exhaustive search and direct definitions."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.heads.codes import CodesHead, align

Q, V, C = 3, 7, 5


@pytest.fixture
def head() -> CodesHead:
    torch.manual_seed(0)
    return CodesHead(CodesHead.Config(hidden=12), 10, torch.randn(Q, V, C), ["sep", "sound", "music"])


def test_alignment_finds_the_best_permutation_by_exhaustive_search():
    torch.manual_seed(0)
    logits, target = torch.randn(4, 3, 6, V), torch.randint(V, (4, 3, 6, Q))
    valid_BT = torch.arange(6)[None] < torch.tensor([6, 4, 1, 5])[:, None]
    got = align(logits, target, valid_BT)
    for b in range(4):
        T = int(valid_BT[b].sum())

        def cost(order, b=b, T=T):
            return sum(
                F.cross_entropy(logits[b, n, :T], target[b, m, :T, 0], reduction="sum") for n, m in enumerate(order)
            )

        best = min(itertools.permutations(range(3)), key=cost)
        assert torch.equal(got[b], target[b, list(best)])


def test_loss_of_a_permutation_task_does_not_depend_on_the_order_of_references(head):
    h_BTD, lengths_B, target = torch.randn(2, 9, 10), torch.tensor([9, 6]), torch.randint(V, (2, 2, 9, Q))
    torch.manual_seed(1)
    a = head.loss(h_BTD, lengths_B, target, "sep").total
    torch.manual_seed(1)
    b = head.loss(h_BTD, lengths_B, target.flip(1), "sep").total
    torch.testing.assert_close(a, b)


def test_loss_of_a_query_task_depends_on_the_order_of_references(head):
    h_BTD, lengths_B, target = torch.randn(2, 9, 10), torch.tensor([9, 6]), torch.randint(V, (2, 4, 9, Q))
    torch.manual_seed(1)
    a = head.loss(h_BTD, lengths_B, target, "music").total
    torch.manual_seed(1)
    b = head.loss(h_BTD, lengths_B, target.flip(1), "music").total
    assert abs(a - b) > 1e-4


def test_padding_does_not_enter_the_loss(head):
    h_BTD, target = torch.randn(1, 5, 10), torch.randint(V, (1, 2, 5, Q))
    torch.manual_seed(1)
    a = head.loss(h_BTD, torch.tensor([5]), target, "sep").total
    padded_h = torch.cat([h_BTD, torch.randn(1, 3, 10) * 9], 1)
    padded_target = torch.cat([target, torch.full((1, 2, 3, Q), -1)], 2)
    torch.manual_seed(1)
    b = head.loss(padded_h, torch.tensor([5]), padded_target, "sep").total
    torch.testing.assert_close(a, b)


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
        head.loss(inputs, torch.full((8,), 12), target, "music").total.backward()
        optimizer.step()
    assert (head.argmax_codes(inputs, "music") == target).float().mean() > 0.99
