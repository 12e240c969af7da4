"""The bias: which way it moves, how far, and where that leads."""

import torch
from routings import counts_of

from aio_toolkit.moe.balances.bias import Bias
from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.shared import SharedRouter


def router(E: int) -> SharedRouter:
    return SharedRouter(SharedRouter.Config(), RouterSizes(8, 1, E, 2))


def test_experts_below_the_mean_load_of_all_tasks_rise_and_those_above_it_fall():
    made, balance = router(4), Bias(Bias.Config(rate=0.25))
    # Together: 9, 1, 5, 5, of which the mean is 5.
    table = counts_of(torch.tensor([[9.0, 0.0, 5.0, 1.0], [0.0, 1.0, 0.0, 4.0]]))
    balance.after_step(made, table)
    assert made.bias_E.tolist() == [-0.25, 0.25, 0.0, 0.0]
    balance.after_step(made, table)
    assert made.bias_E.tolist() == [-0.5, 0.5, 0.0, 0.0]


def test_the_bias_evens_out_a_lopsided_router():
    """Experts with large logits win all tokens at first; the bias alone spreads them."""
    torch.manual_seed(0)
    E, K = 8, 2
    made, balance = router(E), Bias(Bias.Config(rate=5e-4))
    logit_NE = torch.randn(2000, E) + 0.3 * torch.arange(E)
    counts = []
    for _ in range(600):
        expert_NK = (logit_NE.softmax(-1) + made.bias_E).topk(K).indices
        count_E = torch.bincount(expert_NK.flatten(), minlength=E).float()
        counts.append(count_E)
        balance.after_step(made, counts_of(count_E[None]))
    assert counts[0].max() > 2 * counts[0].mean()
    settled_E = torch.stack(counts[-50:]).mean(0)
    torch.testing.assert_close(settled_E, torch.full((E,), 2000 * K / E), rtol=0.05, atol=0)


def test_the_bias_adds_nothing_to_the_loss_of_training():
    probability_GE = torch.rand(1, 3, requires_grad=True)
    loss = Bias(Bias.Config()).loss(counts_of(probability_GE))
    assert loss.item() == 0
    assert not loss.requires_grad
