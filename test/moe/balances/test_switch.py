"""The switch loss and the z-loss against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from routings import noisy_routing

from aio_toolkit.moe.balances.switch import Switch, switch_loss, z_loss
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.tabulate import tabulate


def table(count_E, probability_E: torch.Tensor, square: float = 0.0) -> RoutingTable:
    """One token's table."""
    count_GE, unread = torch.tensor([count_E]), torch.zeros(1, len(count_E))
    columns = (count_GE, probability_E[None], unread, unread)
    return RoutingTable(torch.ones(1), *columns, torch.tensor([square]))


def test_switch_and_z_loss_equal_their_formulas():
    N, E, K = 40, 7, 2
    routing = noisy_routing(N, E, K)
    of = tabulate(routing, F.one_hot(torch.randint(2, (N,)), 2).T.float())
    share_E = torch.bincount(routing.expert_NK.flatten(), minlength=E) / (N * K)
    expected = E * (share_E * routing.logit_NE.softmax(-1).mean(0)).sum()
    torch.testing.assert_close(switch_loss(of), expected)
    torch.testing.assert_close(z_loss(of), routing.logit_NE.exp().sum(1).log().square().mean())
    both = Switch(Switch.Config(z_weight=0.5)).loss(of)
    torch.testing.assert_close(both, switch_loss(of) + 0.5 * z_loss(of))


def test_switch_is_one_when_even_and_the_number_of_experts_when_collapsed():
    even, one = torch.full((4,), 0.25), torch.tensor([1.0, 0, 0, 0])
    assert switch_loss(table(even.tolist(), even)).item() == pytest.approx(1)
    assert switch_loss(table(one.tolist(), one)).item() == pytest.approx(4)


def test_the_weight_of_the_z_loss_is_counted_and_the_balances_own_is_not():
    """By hand: one token on expert 0 of 2 with probability 0.75, squared log-sum-exp 4."""
    of = table([1.0, 0.0], torch.tensor([0.75, 0.25]), square=4.0)
    balance = Switch(Switch.Config(weight=0.01, z_weight=0.1))
    assert balance.loss(of).item() == pytest.approx(2 * 0.75 + 0.1 * 4)


def test_descending_on_the_loss_lowers_the_probability_of_a_busy_expert():
    logit_E = torch.zeros(3, requires_grad=True)
    loss = Switch(Switch.Config()).loss(table([5.0, 0.0, 0.0], logit_E.softmax(-1)))
    (gradient,) = torch.autograd.grad(loss, logit_E)
    assert gradient[0] > 0
    assert (gradient[1:] < 0).all()
