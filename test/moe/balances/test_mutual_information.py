"""Mutual information against entropies, and its known extremes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from routings import table_of

from aio_toolkit.moe.balances.mutual_information import MutualInformation, mutual_information


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 10**6))
def test_information_is_entropy_of_the_mean_minus_mean_entropy(G, E, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(G, E, generator=generator, dtype=torch.float64)
    rows = rows / rows.sum(1, keepdim=True)

    def entropy(p):
        return -sum(x * math.log(x) for x in p.tolist() if x > 0)

    expected = entropy(rows.mean(0)) - sum(entropy(row) for row in rows) / G
    assert mutual_information(table_of(rows)).item() == pytest.approx(expected, abs=1e-9)


def test_information_is_log_tasks_when_every_task_has_its_own_expert():
    assert mutual_information(table_of(torch.eye(4))).item() == pytest.approx(math.log(4), abs=1e-6)


def test_information_is_zero_for_a_single_task_and_for_equal_tasks():
    single, equal = table_of(torch.tensor([[0.9, 0.1]])), table_of(torch.full((3, 4), 0.25))
    assert mutual_information(single).item() == pytest.approx(0, abs=1e-7)
    assert mutual_information(equal).item() == pytest.approx(0, abs=1e-7)


def test_information_weighs_tasks_equally_however_many_tokens_they_have_and_ignores_absent_ones():
    rows = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.0, 0.0]])
    tokens_G = torch.tensor([5.0, 70.0, 0.0])
    uneven = mutual_information(table_of(rows * tokens_G[:, None], tokens_G))
    torch.testing.assert_close(uneven, mutual_information(table_of(rows[:2])))


def test_gradients_stay_finite_where_a_probability_is_zero():
    rows = torch.eye(3).requires_grad_()
    mutual_information(table_of(rows)).backward()
    assert rows.grad.isfinite().all()


def test_descending_on_the_loss_specialises_experts():
    torch.manual_seed(0)
    balance = MutualInformation(MutualInformation.Config())
    logits = torch.randn(3, 6).mul(0.01).requires_grad_()
    for _ in range(300):
        loss = balance.loss(table_of(logits.softmax(-1)))
        (gradient,) = torch.autograd.grad(loss, logits)
        logits.data -= 3.0 * gradient
    assert mutual_information(table_of(logits.softmax(-1))).item() > 0.9 * math.log(3)


def test_the_loss_is_minus_the_information_without_its_weight():
    balance, table = MutualInformation(MutualInformation.Config(weight=7.0)), table_of(torch.eye(4))
    assert balance.loss(table).item() == pytest.approx(-math.log(4), abs=1e-6)
