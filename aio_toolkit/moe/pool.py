"""One optimizer step's routing, however many micro-batches and ranks it is spread over."""

import torch
import torch.distributed as dist

from aio_toolkit.moe.base import RoutingTable, Tables


class TablePool:
    """Adds up routing tables from one optimizer step to the next.

    A balance loss wants to see all tasks at once; a micro-batch may hold one. So the table of each
    micro-batch, with its gradient, is joined with what the step's earlier ones did and, for tasks
    that have not come yet, with the step before. On the last micro-batch of a step the joined table
    is that of the whole step.

    Only what training steps hand over is counted, neither evaluation nor recomputed activations.

    Attributes:
        step: tables of the optimizer step so far, by layer.
        previous: tables of the step before; of tasks that it lacked, those of an earlier one.

    >>> def one_task(tokens_G: list[float]) -> Tables:
    ...     rows_GE = torch.tensor(tokens_G)[:, None].expand(2, 3)
    ...     table = RoutingTable(torch.tensor(tokens_G), *[rows_GE] * 4, torch.zeros(2))
    ...     return {"block1.feed_forward": table}
    >>> pool = TablePool()
    >>> pool.join(one_task([5.0, 0.0]))["block1.feed_forward"].tokens_G
    tensor([5., 0.])
    >>> pool.join(one_task([0.0, 7.0]))["block1.feed_forward"].tokens_G
    tensor([5., 7.])
    >>> finished = pool.finish_step()
    >>> pool.join(one_task([4.0, 0.0]))["block1.feed_forward"].tokens_G
    tensor([4., 7.])
    """

    def __init__(self) -> None:
        self.step: Tables = {}
        self.previous: Tables = {}

    def join(self, tables: Tables, micro_batches: int = 1) -> Tables:
        """Count the tables of a micro-batch; return them joined with the rest, differentiable.

        A balance loss depends on shares, so its gradient for a token falls as the table grows, and
        training averages the gradients of micro-batches. Both are made up for: over a step the
        gradients add up to that of the loss of the whole step's table.

        Args:
            tables: of the micro-batch, by layer.
            micro_batches: how many the optimizer step is made of.
        """
        joined = {}
        for name, table in tables.items():
            table = sum_over_ranks(table)
            own_tokens = table.tokens_G.sum()
            # What is counted outlives the micro-batch, whose graph must not.
            counted = table.detach()
            if name in self.step:
                table = table + self.step[name]
                counted = counted + self.step[name]
            self.step[name] = counted
            filled = self._fill(name, table)
            joined[name] = _scale_gradient(filled, own_tokens, micro_batches)
        return joined

    def finish_step(self) -> Tables:
        """The tables of the optimizer step that ends here; the next begins."""
        finished, self.step = self.step, {}
        # A task that this step lacked stays known from an earlier one.
        for name, table in finished.items():
            self.previous[name] = self._fill(name, table)
        return finished

    def _fill(self, name: str, table: RoutingTable) -> RoutingTable:
        """The table, with the rows of tasks that it lacks taken from the step before."""
        if name not in self.previous:
            return table
        is_absent_G = table.tokens_G == 0

        # A checkpoint is read into the CPU's memory, wherever training goes on.
        device = table.tokens_G.device
        previous = self.previous[name].map(lambda rows: rows.to(device))
        return table + previous.map(lambda rows: _rows_of(is_absent_G, rows))


def _scale_gradient(
    joined: RoutingTable, own_tokens: torch.Tensor, micro_batches: int
) -> RoutingTable:
    """The same numbers, with the gradient that a micro-batch has to bring along.

    A table of n tokens has a gradient 1/n times that of shares. The step's table will have about
    as many tokens as all its micro-batches together, if tasks that come later do not stand in the
    joined one already.
    """
    if micro_batches == 1:
        return joined
    tokens = joined.tokens_G.sum()
    of_step = torch.maximum(tokens, micro_batches * own_tokens)
    factor = micro_batches * tokens / of_step.clamp_min(1)

    def scale(rows: torch.Tensor) -> torch.Tensor:
        fixed = rows.detach()
        return fixed + (rows - fixed) * factor

    return joined.map(scale)


def _rows_of(is_chosen_G: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    # Some columns have an axis of experts, some have not: the tasks are put last and back.
    chosen = rows.movedim(0, -1) * is_chosen_G
    return chosen.movedim(-1, 0)


def sum_over_ranks(table: RoutingTable) -> RoutingTable:
    """The table of all ranks together. Gradients flow to this rank's own part.

    They are scaled by the number of ranks, because data-parallel training averages gradients over
    ranks.

    >>> table = RoutingTable(torch.ones(1), *[torch.ones(1, 2)] * 4, torch.zeros(1))
    >>> sum_over_ranks(table) is table  # a single process
    True
    """
    if not (dist.is_available() and dist.is_initialized()):
        return table
    num_ranks = dist.get_world_size()
    if num_ranks == 1:
        return table

    def reduce(rows: torch.Tensor) -> torch.Tensor:
        """One column, of all ranks."""
        own = rows.detach()
        # The all-reduce writes in place, and autograd does not see it.
        total = own.clone()
        dist.all_reduce(total)
        zero_with_gradient = rows - own
        return total + zero_with_gradient * num_ranks

    return table.map(reduce)
