"""Losses, and sums of them."""

import pytest
import torch

from aio_toolkit.loss import Loss, weighted_sum


def test_a_sum_weighs_totals_and_rows_and_keeps_figures_as_they_are():
    first = Loss(torch.tensor(3.0), {"a": torch.tensor(3.0)}, torch.tensor([1.0, 5.0]))
    second = Loss(torch.tensor(7.0), {"b": torch.tensor(0.5)}, torch.tensor([6.0, 8.0]))
    loss = weighted_sum([(2.0, first), (0.1, second)])
    assert loss.total.item() == pytest.approx(2 * 3 + 0.1 * 7)
    assert loss.rows_B.tolist() == pytest.approx([2 * 1 + 0.1 * 6, 2 * 5 + 0.1 * 8])
    assert loss.figures == {"a": torch.tensor(3.0), "b": torch.tensor(0.5)}


def test_a_single_term_is_its_own_sum():
    loss = weighted_sum([(1.0, Loss(torch.tensor(3.0), rows_B=torch.tensor([3.0])))])
    assert (loss.total, loss.rows_B) == (3.0, 3.0)


def test_rows_have_no_loss_where_one_term_gives_them_none():
    rows = Loss(torch.tensor(3.0), rows_B=torch.tensor([3.0]))
    assert weighted_sum([(1.0, rows), (1.0, Loss(torch.tensor(1.0)))]).rows_B is None


def test_gradients_are_the_weights():
    x, y = (torch.tensor(value, requires_grad=True) for value in (1.0, 2.0))
    weighted_sum([(3.0, Loss(x)), (0.5, Loss(y))]).total.backward()
    assert (x.grad, y.grad) == (3.0, 0.5)
