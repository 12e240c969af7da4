"""Gates per task against a loop over tokens."""

import torch

from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.per_task import PerTaskRouter

TASK_B = torch.tensor([2, 0, 2])


def make() -> PerTaskRouter:
    router = PerTaskRouter(PerTaskRouter.Config(), RouterSizes(8, 3, 5, 2))
    for gate_DE in router.gates_DE:
        torch.nn.init.normal_(gate_DE)
    return router


def test_logits_equal_a_loop_over_tokens():
    router, x_BTD = make(), torch.randn(3, 4, 8)
    logit_BTE = router.logits(x_BTD, TASK_B)
    for b, task in enumerate(TASK_B.tolist()):
        for t in range(4):
            torch.testing.assert_close(logit_BTE[b, t], x_BTD[b, t] @ router.gates_DE[task])


def test_a_gate_gets_no_gradient_from_other_tasks():
    router = make()
    router.logits(torch.randn(3, 4, 8), TASK_B).sum().backward()
    moved = [bool(gate_DE.grad.any()) for gate_DE in router.gates_DE]
    assert moved == [True, False, True]


def test_a_new_tasks_gate_starts_at_zero():
    router = make()
    (gate_DE,) = router.add_task()
    assert gate_DE is router.gates_DE[3]
    assert gate_DE.requires_grad
    assert not gate_DE.any()
