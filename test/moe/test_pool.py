"""Tables of one optimizer step that is spread over micro-batches and ranks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from aio_toolkit import parts
from aio_toolkit.config import Choice
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.balances.mutual_information import mutual_information
from aio_toolkit.moe.base import Routing, Tables
from aio_toolkit.moe.pool import TablePool, sum_over_ranks
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


def test_a_rank_has_the_gradient_of_all_in_its_own_part(monkeypatch):
    """As training averages over ranks, each of three that are alike has that of their sum."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(dist, "all_reduce", lambda rows: rows.mul_(3))
    part = logits(0)
    own_GE = tables(part, 0)["layer"].probability_GE
    total_GE = sum_over_ranks(tables(part, 0)["layer"]).probability_GE
    torch.testing.assert_close(total_GE, 3 * own_GE)
    (got,) = torch.autograd.grad(total_GE.square().sum(), part)
    (want,) = torch.autograd.grad((3 * own_GE).square().sum(), part)
    torch.testing.assert_close(got, want)


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


def gradients_of_micro_batches(parts: list[torch.Tensor], task_of: list) -> torch.Tensor:
    """What training adds up: the mean over micro-batches, each joined with those before."""
    pool = TablePool()
    for logit_NE, task in zip(parts, task_of, strict=True):
        joined = pool.join(tables(logit_NE, task), micro_batches=len(parts))["layer"]
        (-mutual_information(joined) / len(parts)).backward()
    return torch.cat([logit_NE.grad for logit_NE in parts])


def test_gradients_of_equal_micro_batches_add_up_to_that_of_the_whole_step():
    task_N = torch.arange(12) % G
    one = torch.randn(12, E, generator=torch.Generator().manual_seed(0))
    parts = [one.clone().requires_grad_() for _ in range(4)]
    got = gradients_of_micro_batches(parts, [task_N] * 4)
    whole = torch.cat([one] * 4).requires_grad_()
    (-mutual_information(tables(whole, task_N.repeat(4))["layer"])).backward()
    torch.testing.assert_close(got, whole.grad)


def test_gradients_of_unlike_micro_batches_weigh_as_much_as_that_of_the_whole_step():
    task_N = torch.arange(300) % G
    generator = torch.Generator().manual_seed(1)
    liked_GE = torch.randn(G, E, generator=generator)
    parts = [
        (liked_GE[task_N] + torch.randn(300, E, generator=generator)).requires_grad_()
        for _ in range(8)
    ]
    got = gradients_of_micro_batches(parts, [task_N] * 8)
    whole = torch.cat([part.detach() for part in parts]).requires_grad_()
    (-mutual_information(tables(whole, task_N.repeat(8))["layer"])).backward()
    projection = (got * whole.grad).sum() / whole.grad.square().sum()
    assert 0.9 < projection < 1.1


def test_micro_batches_of_one_task_each_weigh_as_much_as_the_whole_step():
    generator = torch.Generator().manual_seed(2)
    parts = [torch.randn(50, E, generator=generator).requires_grad_() for _ in range(G)]
    pool = TablePool()
    # A step before, so that each micro-batch sees the other tasks.
    for task, part in enumerate(parts):
        pool.join(tables(part, task))
    pool.finish_step()
    for task, part in enumerate(parts):
        joined = pool.join(tables(part, task), micro_batches=G)["layer"]
        (-mutual_information(joined) / G).backward()
    got = torch.cat([part.grad for part in parts])
    whole = torch.cat([part.detach() for part in parts]).requires_grad_()
    task_N = torch.arange(G).repeat_interleave(50)
    (-mutual_information(tables(whole, task_N)["layer"])).backward()
    torch.testing.assert_close(got, whole.grad, rtol=1e-3, atol=1e-6)


def test_a_single_micro_batch_keeps_its_gradient_to_the_bit():
    part = logits(3)
    pool = TablePool()
    task_N = torch.arange(len(part)) % G
    (got,) = torch.autograd.grad(mutual_information(pool.join(tables(part, task_N))["layer"]), part)
    (want,) = torch.autograd.grad(mutual_information(tables(part, task_N)["layer"]), part)
    assert torch.equal(got, want)


def test_routing_read_from_a_checkpoint_goes_where_training_goes_on():
    pool = TablePool()
    pool.previous = {name: table.detach() for name, table in tables(logits(1), 1).items()}
    elsewhere = {n: t.map(lambda x: x.to("meta")) for n, t in tables(logits(2), 0).items()}
    joined = pool.join(elsewhere)["layer"]
    assert joined.probability_GE.device.type == "meta"


def test_two_micro_batches_can_each_run_backward():
    pool = TablePool()
    for seed in (1, 2):
        part = logits(seed)
        joined = pool.join(tables(part, seed), micro_batches=2)["layer"]
        joined.probability_GE.square().sum().backward()
        assert part.grad is not None
