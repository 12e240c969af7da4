"""Routing tables against counting by hand."""

import pytest
import torch
import torch.nn.functional as F
from routings import noisy_routing, pairs, random_routing

from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.tabulate import expected_visits, members, tabulate

ALL = frozenset({"importance", "expected"})


@pytest.mark.parametrize("some_inactive", [False, True])
def test_the_table_equals_counting_by_hand(some_inactive):
    routing = random_routing(20, 5, 2, some_inactive=some_inactive)
    task_N = torch.randint(3, (20,))
    table = tabulate(routing, F.one_hot(task_N, 4).T.float(), ALL)
    for g in range(4):
        mine = (task_N == g).nonzero()[:, 0].tolist()
        assert table.tokens_G[g] == len(mine)
        squares = [routing.logit_NE[n].exp().sum().log().item() ** 2 for n in mine]
        assert table.square_G[g].item() == pytest.approx(sum(squares), abs=1e-4)
        for e in range(5):
            visits = [weight for n in mine for expert, weight in pairs(routing, n) if expert == e]
            assert table.count_GE[g, e] == len(visits)
            # Without noise the expected visits are the visits.
            assert table.expected_GE[g, e] == len(visits)
            importance = sum(weight.item() for weight in visits)
            assert table.importance_GE[g, e].item() == pytest.approx(importance, abs=1e-5)
            total = sum(routing.logit_NE[n].softmax(0)[e].item() for n in mine)
            assert table.probability_GE[g, e].item() == pytest.approx(total, abs=1e-5)


def test_tables_of_parts_add_up_to_the_table_of_the_whole():
    routing, member_GN = random_routing(20, 5, 2), F.one_hot(torch.randint(3, (20,)), 3).T.float()

    def part(kept: slice):
        choices = (routing.expert_NK[kept], routing.weight_NK[kept], routing.active_NK[kept])
        cut = Routing(*choices, routing.logit_NE[kept], routing.noisy_NE[kept])
        return tabulate(cut, member_GN[:, kept], ALL)

    added = part(slice(0, 8)) + part(slice(8, 20))
    whole = tabulate(routing, member_GN, ALL)
    for got, want in zip(vars(added).values(), vars(whole).values(), strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("reads", [set(), {"importance"}, {"expected"}])
def test_columns_that_no_balance_reads_are_zero_and_the_others_as_in_the_whole_table(reads):
    routing, member_GN = random_routing(20, 5, 2), F.one_hot(torch.randint(3, (20,)), 3).T.float()
    whole = vars(tabulate(routing, member_GN, ALL))
    for name, got in vars(tabulate(routing, member_GN, frozenset(reads))).items():
        unread = name.removesuffix("_GE") in ALL - reads
        torch.testing.assert_close(got, torch.zeros_like(got) if unread else whole[name])


def test_only_counts_have_no_gradient():
    routing = noisy_routing(9, 5, 2, noise=0.5)
    routing.logit_NE.requires_grad_()
    routing.weight_NK.requires_grad_()
    table = tabulate(routing, torch.ones(1, 9), ALL)
    differentiable = {name for name, column in vars(table).items() if column.requires_grad}
    assert differentiable == {"probability_GE", "importance_GE", "expected_GE", "square_G"}


def test_counts_are_exact_under_autocast():
    """In bfloat16, 257 would be 256."""
    logit_NE, active_NK = torch.zeros(257, 2), torch.ones(257, 1, dtype=torch.bool)
    expert_NK, weight_NK = torch.zeros(257, 1, dtype=torch.long), torch.ones(257, 1)
    routing = Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE)
    with torch.autocast("cpu", torch.bfloat16):
        table = tabulate(routing, torch.ones(1, 257))
    assert table.count_GE.tolist() == [[257.0, 0.0]]


def test_the_load_is_what_drawing_the_noise_again_gives():
    torch.manual_seed(0)
    N, E, K, noise = 4, 5, 2, 0.5
    routing = noisy_routing(N, E, K, noise)
    expected_NE, visits_NE = expected_visits(routing), torch.zeros(N, E)
    for e in range(E):
        noisy_RNE = routing.noisy_NE.repeat(20000, 1, 1)
        noisy_RNE[..., e] = routing.logit_NE[:, e] + noise * torch.randn(20000, N)
        visits_NE[:, e] = (noisy_RNE.topk(K).indices == e).any(-1).float().mean(0)
    torch.testing.assert_close(expected_NE, visits_NE, atol=0.015, rtol=0)


def test_where_all_experts_are_visited_all_visits_are_expected():
    assert torch.equal(expected_visits(noisy_routing(6, 4, 4, noise=0.5)), torch.ones(6, 4))


def test_a_token_is_a_member_of_its_rows_task_and_padding_of_none():
    valid_BT = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    member_GN = members(valid_BT, torch.tensor([2, 0, 2]), num_tasks=4)
    want = torch.zeros(4, 9)
    want[2, [0, 1, 6, 7, 8]] = 1
    want[0, 3] = 1
    assert torch.equal(member_GN, want)
