"""The mutual information against its definition and its known extremes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.moe.balance import mutual_information, mutual_information_loss
from aio_toolkit.moe.base import RoutingTable


def table(probability_GE: torch.Tensor, present_G: torch.Tensor | None = None) -> RoutingTable:
    present_G = torch.ones(len(probability_GE), dtype=torch.bool) if present_G is None else present_G
    return RoutingTable(probability_GE, torch.zeros_like(probability_GE), present_G)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 10**6))
def test_equals_entropy_of_the_mean_minus_mean_entropy(G, E, seed):
    rows = torch.rand(G, E, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows = rows / rows.sum(1, keepdim=True)

    def entropy(p):
        return -sum(x * math.log(x) for x in p.tolist() if x > 0)

    expected = entropy(rows.mean(0)) - sum(entropy(row) for row in rows) / G
    assert mutual_information(table(rows)).item() == pytest.approx(expected, abs=1e-9)


def test_is_log_tasks_when_every_task_has_its_own_expert():
    assert mutual_information(table(torch.eye(4))).item() == pytest.approx(math.log(4), abs=1e-6)


def test_is_zero_for_a_single_task_and_for_equal_tasks():
    assert mutual_information(table(torch.tensor([[0.9, 0.1]]))).item() == pytest.approx(0, abs=1e-7)
    assert mutual_information(table(torch.full((3, 4), 0.25))).item() == pytest.approx(0, abs=1e-7)


def test_ignores_absent_tasks():
    rows = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.0, 0.0]])
    with_absent = mutual_information(table(rows, torch.tensor([True, True, False])))
    torch.testing.assert_close(with_absent, mutual_information(table(rows[:2])))


def test_descending_the_loss_specialises_experts():
    torch.manual_seed(0)
    logits = torch.randn(3, 6).mul(0.01).requires_grad_()
    for _ in range(300):
        (gradient,) = torch.autograd.grad(mutual_information_loss(table(logits.softmax(-1))), logits)
        logits.data -= 3.0 * gradient
    assert mutual_information(table(logits.softmax(-1))).item() > 0.9 * math.log(3)
