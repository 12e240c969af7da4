"""Tables of one optimiser step that is spread over micro-batches and ranks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit import parts
from aio_toolkit.config import Choice
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.balances.mutual_information import mutual_information
from aio_toolkit.moe.base import Routing, Tables
from aio_toolkit.moe.pool import TablePool
from aio_toolkit.moe.tabulate import tabulate

G, E, K = 3, 6, 2


def logits(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(11 + seed, E, generator=generator).requires_grad_()


def tables(logit_NE: torch.Tensor, task: int | torch.Tensor) -> Tables:
    """The table of one layer. Its noise is told, not drawn: so expected visits have a gradient."""
    weight_NK, expert_NK = logit_NE.softmax(-1).topk(K)
    active_NK = torch.ones_like(expert_NK, dtype=torch.bool)
    routing = Routing(expert_NK, weight_NK, active_NK, logit_NE, logit_NE, noise=0.5)
    task_N = torch.as_tensor(task).expand(len(logit_NE))
    member_GN = F.one_hot(task_N, G).T.float()
    return {"layer": tabulate(routing, member_GN, frozenset({"importance", "expected"}))}


def test_the_last_of_micro_batches_of_one_task_each_sees_the_information_of_all():
    batches = [logits(task) for task in range(G)]
    pool = TablePool()
    joined = [pool.join(tables(batch, task))["layer"] for task, batch in enumerate(batches)]
    task_N = torch.cat([torch.full((len(batch),), task) for task, batch in enumerate(batches)])
    whole = tables(torch.cat(batches), task_N)["layer"]
    exact = mutual_information(whole)
    assert mutual_information(tables(batches[0], 0)["layer"]).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(mutual_information(joined[-1]), exact)
    (got,) = torch.autograd.grad(mutual_information(joined[-1]), batches[-1])
    (want,) = torch.autograd.grad(exact, batches[-1])
    assert want.abs().max() > 1e-4
    torch.testing.assert_close(got, want)


def test_a_first_micro_batch_is_joined_with_the_other_tasks_of_the_step_before():
    pool = TablePool()
    for task in range(G):
        pool.join(tables(logits(task), task))
    pool.finish_step()
    part = logits(7)
    joined = pool.join(tables(part, 0))["layer"]
    (gradient,) = torch.autograd.grad(mutual_information(joined), part)
    assert gradient.abs().max() > 1e-4
    # Its own task's rows of the step before are replaced, not added to.
    assert joined.tokens_G.tolist() == [len(part), len(logits(1)), len(logits(2))]


def test_finishing_returns_the_counts_of_one_step_alone():
    pool = TablePool()
    pool.join(tables(logits(0), 0))
    pool.finish_step()
    pool.join(tables(logits(1), 1))
    pool.join(tables(logits(2), 1))
    finished = pool.finish_step()["layer"]
    assert finished.tokens_G.tolist() == [0, len(logits(1)) + len(logits(2)), 0]
    assert finished.count_GE.sum().item() == K * (len(logits(1)) + len(logits(2)))
    assert pool.finish_step() == {}


@pytest.mark.parametrize("kind", ["mutual_information", "importance_load", "switch"])
def test_the_last_of_mixed_micro_batches_has_every_balances_loss_of_the_whole_step(kind):
    """Four micro-batches of two tasks each, so that tasks appear twice."""
    balance = parts.build(Balance, Choice(kind))
    batches = [logits(seed) for seed in range(4)]
    tasks = [torch.randint(2, (len(batch),)) + seed % 2 for seed, batch in enumerate(batches)]
    pool = TablePool()
    for batch, task_N in zip(batches, tasks, strict=True):
        joined = pool.join(tables(batch, task_N))["layer"]
    whole = tables(torch.cat(batches), torch.cat(tasks))["layer"]
    torch.testing.assert_close(balance.loss(joined), balance.loss(whole))
    (got,) = torch.autograd.grad(balance.loss(joined), batches[-1])
    (want,) = torch.autograd.grad(balance.loss(whole), batches[-1])
    torch.testing.assert_close(got, want)
    for name, column in vars(pool.finish_step()["layer"]).items():
        torch.testing.assert_close(column, getattr(whole, name).detach())


def test_only_the_micro_batch_at_hand_has_a_gradient():
    pool, first, second = TablePool(), logits(0), logits(1)
    pool.join(tables(first, 0))
    joined = pool.join(tables(second, 1))["layer"]
    assert not any(column.requires_grad for column in vars(pool.step["layer"]).values())
    mutual_information(joined).backward()
    assert first.grad is None
    assert second.grad.abs().max() > 1e-4


def test_a_task_that_a_step_lacks_is_known_from_an_earlier_one():
    pool = TablePool()
    for task in (0, 1, 2):
        pool.join(tables(logits(task), task))
        pool.finish_step()
    joined = pool.join(tables(logits(5), 1))["layer"]
    assert joined.tokens_G.tolist() == [11, 16, 13]


def test_layers_are_pooled_apart():
    pool = TablePool()
    joined = pool.join({"a": tables(logits(0), 0)["layer"], "b": tables(logits(1), 1)["layer"]})
    assert joined["a"].tokens_G.tolist() == [11, 0, 0]
    assert joined["b"].tokens_G.tolist() == [0, 12, 0]


RANK = """
import json, sys
import torch.distributed as dist
sys.path.insert(0, {folder!r})
from test_pool import logits, mutual_information, tables
from aio_toolkit.moe.pool import sum_over_ranks
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://{store}", rank=rank, world_size=2)
part = logits(rank)
information = mutual_information(sum_over_ranks(tables(part, rank)["layer"]))
information.backward()
print(json.dumps([information.item(), part.grad.tolist()]))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_ranks_together_see_what_one_process_sees(tmp_path):
    """A task each. Averaged over ranks, as in data-parallel training, gradients are exact."""
    halves = [logits(0), logits(1)]
    task_N = torch.tensor([0] * 11 + [1] * 12)
    exact = mutual_information(tables(torch.cat(halves), task_N)["layer"])
    exact.backward()
    code = RANK.format(folder=str(Path(__file__).parent), store=tmp_path / "store")
    command = [sys.executable, "-c", code]
    ranks = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for rank, part in zip(ranks, halves, strict=True):
        information, gradient = json.loads(rank.communicate(timeout=120)[0])
        assert information == pytest.approx(exact.item(), abs=1e-6)
        torch.testing.assert_close(torch.tensor(gradient) / 2, part.grad, atol=1e-7, rtol=1e-4)
