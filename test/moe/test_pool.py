"""Tables of one optimiser step that is spread over micro-batches and ranks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.moe.balance import mutual_information
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.layer import tabulate
from aio_toolkit.moe.pool import TablePool

G, E, K = 3, 6, 2


def logits(seed: int) -> torch.Tensor:
    return torch.randn(11 + seed, E, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def tables(logit_NE: torch.Tensor, task: int | torch.Tensor):
    weight_NK, expert_NK = logit_NE.softmax(-1).topk(K)
    task_N = torch.as_tensor(task).expand(len(logit_NE))
    routing = Routing(expert_NK, weight_NK, torch.ones_like(expert_NK, dtype=torch.bool), logit_NE, logit_NE)
    return {"layer": tabulate(routing, F.one_hot(task_N, G).T.float())}


def test_the_last_of_micro_batches_of_one_task_each_sees_the_information_of_all():
    parts = [logits(task) for task in range(G)]
    pool = TablePool()
    joined = [pool.join(tables(part, task))["layer"] for task, part in enumerate(parts)]
    task_N = torch.cat([torch.full((len(part),), task) for task, part in enumerate(parts)])
    whole = tables(torch.cat(parts), task_N)["layer"]
    exact = mutual_information(whole)
    assert mutual_information(tables(parts[0], 0)["layer"]).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(mutual_information(joined[-1]), exact)
    (got,) = torch.autograd.grad(mutual_information(joined[-1]), parts[-1])
    (want,) = torch.autograd.grad(exact, parts[-1])
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


def test_ranks_together_see_what_one_process_sees(tmp_path):
    """Each rank holds one task. Averaged over ranks, as data-parallel training does, gradients are exact."""
    parts = [logits(0), logits(1)]
    exact = mutual_information(tables(torch.cat(parts), torch.tensor([0] * 11 + [1] * 12))["layer"])
    exact.backward()
    code = RANK.format(folder=str(Path(__file__).parent), store=tmp_path / "store")
    ranks = [
        subprocess.Popen([sys.executable, "-c", code, str(rank)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for rank, part in zip(ranks, parts, strict=True):
        information, gradient = json.loads(rank.communicate(timeout=120)[0])
        assert information == pytest.approx(exact.item(), abs=1e-6)
        torch.testing.assert_close(torch.tensor(gradient) / 2, part.grad, atol=1e-7, rtol=1e-4)
