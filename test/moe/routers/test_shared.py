"""The shared gate against a loop over tokens."""

import torch

from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.shared import SharedRouter


def test_logits_equal_a_loop_over_tokens():
    router = SharedRouter(SharedRouter.Config(), RouterSizes(8, 2, 5, 2))
    torch.nn.init.normal_(router.gate_DE)
    x_BTD, task_B = torch.randn(3, 4, 8), torch.tensor([0, 1, 0])
    logit_BTE = router.logits(x_BTD, task_B)
    for b in range(3):
        for t in range(4):
            torch.testing.assert_close(logit_BTE[b, t], x_BTD[b, t] @ router.gate_DE)
