"""The gate that sees the task against a loop over tokens."""

import torch

from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.task_conditioned import TaskConditionedRouter

TASK_B = torch.tensor([2, 0, 2])


def make(task_width: int = 5) -> TaskConditionedRouter:
    config = TaskConditionedRouter.Config(task_width=task_width)
    router = TaskConditionedRouter(config, RouterSizes(8, 3, 5, 2))
    torch.nn.init.normal_(router.gate_DE)
    return router


def test_logits_equal_a_loop_over_tokens():
    router, x_BTD = make(), torch.randn(3, 4, 8)
    logit_BTE = router.logits(x_BTD, TASK_B)
    for b, task in enumerate(TASK_B.tolist()):
        for t in range(4):
            joined = torch.cat([x_BTD[b, t], router.tasks_C[task]])
            torch.testing.assert_close(
                logit_BTE[b, t], joined @ router.gate_DE, atol=1e-5, rtol=1e-5
            )


def test_a_new_task_draws_an_embedding_of_its_own():
    router = make(task_width=7)
    (embedding_C,) = router.add_task()
    assert embedding_C is router.tasks_C[3]
    assert embedding_C.shape == (7,)
    assert embedding_C.std() > 0.1
    assert not any(torch.equal(embedding_C, router.tasks_C[task]) for task in range(3))


def test_a_cut_leaves_the_embedding_of_the_task_that_is_kept():
    router = make()
    kept_C = router.tasks_C[1].detach().clone()
    router.keep(1, [0, 1])
    assert torch.equal(torch.stack(list(router.tasks_C)), kept_C[None])
