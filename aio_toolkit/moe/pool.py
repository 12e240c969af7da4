"""One optimiser step's routing, however many micro-batches and ranks it is spread over."""

import torch
import torch.distributed as dist

from aio_toolkit.moe.base import RoutingTable, Tables


class TablePool:
    """Adds up routing tables from one optimiser step to the next.

    A balance loss wants to see all tasks at once; a micro-batch may hold one. So each micro-batch's table, with its
    gradient, is joined with what the step's earlier ones did and, for tasks that have not come yet, with the step
    before. On the last micro-batch of a step the joined table is that of the whole step.

    Only what training steps hand over is counted: neither evaluation nor activation recomputation does.
    """

    def __init__(self):
        self.step: Tables = {}
        self.previous: Tables = {}

    def join(self, tables: Tables) -> Tables:
        """Count the tables of a micro-batch; return them joined with the rest, differentiable."""
        joined = {}
        for name, table in tables.items():
            table = sum_over_ranks(table)
            counted = table.detach()
            if name in self.step:
                table, counted = table + self.step[name], counted + self.step[name]
            self.step[name] = counted
            joined[name] = _fill(table, self.previous[name]) if name in self.previous else table
        return joined

    def finish_step(self) -> Tables:
        """The tables of the optimiser step that ends here; the next begins."""
        finished, self.step = self.step, {}
        for name, table in finished.items():
            self.previous[name] = _fill(table, self.previous[name]) if name in self.previous else table
        return finished


def _fill(table: RoutingTable, previous: RoutingTable) -> RoutingTable:
    """The table, with the rows of tasks that it lacks taken from another."""
    absent_G = table.tokens_G == 0
    return table + previous.map(lambda rows: rows * absent_G.view(-1, *[1] * (rows.ndim - 1)))


def sum_over_ranks(table: RoutingTable) -> RoutingTable:
    """The table of all ranks together. Gradients flow to this rank's own part.

    They are scaled by the number of ranks, because data-parallel training averages gradients over ranks.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return table

    def reduce(rows: torch.Tensor) -> torch.Tensor:
        total = rows.detach().clone()
        dist.all_reduce(total)
        return total + (rows - rows.detach()) * dist.get_world_size()

    return table.map(reduce)
