"""No balance: nothing is added, nothing is moved."""

import torch
from routings import counts_of

from aio_toolkit.moe.balances.none import NoBalance
from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.shared import SharedRouter


def test_without_balance_neither_loss_nor_router_changes():
    balance, table = NoBalance(NoBalance.Config()), counts_of(torch.tensor([[9.0, 1.0, 0.0]]))
    router = SharedRouter(SharedRouter.Config(), RouterSizes(8, 1, 3, 2))
    before = {name: value.clone() for name, value in router.state_dict().items()}
    balance.after_step(router, table)
    loss = balance.loss(table)
    assert loss.item() == 0
    assert not loss.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in router.state_dict().items())
