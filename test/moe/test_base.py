"""Routing tables: sums that add up, and shares of them."""

import torch
from routings import counts_of

from aio_toolkit.moe.base import RoutingTable


def test_the_load_is_each_experts_share_of_a_tasks_visits_and_zero_for_an_absent_task():
    load_GE = counts_of(torch.tensor([[6.0, 2.0], [0.0, 0.0]])).load_GE()
    torch.testing.assert_close(load_GE, torch.tensor([[0.75, 0.25], [0.0, 0.0]]))


def test_adding_tables_adds_every_column():
    columns = [torch.rand(2), *torch.rand(4, 2, 3), torch.rand(2)]
    added = RoutingTable(*columns) + RoutingTable(*(10 * column for column in columns))
    for got, column in zip(vars(added).values(), columns, strict=True):
        torch.testing.assert_close(got, 11 * column)


def test_detaching_a_table_cuts_every_column_from_its_graph():
    columns = [torch.rand(2), *torch.rand(4, 2, 3), torch.rand(2)]
    table = RoutingTable(*(column.requires_grad_() * 2 for column in columns))
    for got, column in zip(vars(table.detach()).values(), vars(table).values(), strict=True):
        assert not got.requires_grad
        assert torch.equal(got, column)
