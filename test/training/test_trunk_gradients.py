"""The norms of the tasks' gradients, evened out: against a slow loop, over micro-batches, ranks."""

import math

import pytest
import torch

from aio_toolkit.training import trunk_gradients as module
from aio_toolkit.training.trunk_gradients import TrunkGradients

WEIGHTS = {"asr": 3.0, "sep": 1.0, "enh": 0.5}


def send(trunk: TrunkGradients, **gradients: torch.Tensor) -> dict[str, torch.Tensor]:
    """Have each task send a gradient back; what arrives at the backbone."""
    arrived = {}
    for task, gradient_BTD in gradients.items():
        leaf_BTD = torch.zeros_like(gradient_BTD, requires_grad=True)
        h_BTD = 1 * leaf_BTD
        trunk.watch(task, h_BTD)
        h_BTD.backward(gradient_BTD)
        arrived[task] = leaf_BTD.grad
    return arrived


def random_gradients(scales: dict[str, float]) -> dict[str, torch.Tensor]:
    return {task: scale * torch.randn(2, 3, 4) for task, scale in scales.items()}


def test_gradients_of_every_scale_arrive_at_norms_in_proportion_to_their_weights():
    trunk = TrunkGradients(TrunkGradients.Config(memory=0.5), WEIGHTS)
    torch.manual_seed(0)
    means: dict[str, float] = {}
    for step in range(5):
        gradients = random_gradients({"asr": 100.0, "sep": 1e-3, "enh": 1.0})
        arrived = send(trunk, **gradients)

        logs = {task: math.log(mean / WEIGHTS[task]) for task, mean in means.items()}
        for task, gradient_BTD in gradients.items():
            factor = math.exp(sum(logs.values()) / 3 - logs[task]) if step else 1.0
            torch.testing.assert_close(arrived[task], factor * gradient_BTD)
            norm = gradient_BTD.norm().item()
            means[task] = (means[task] + norm) / 2 if step else norm
        trunk.close_step()
    # By the running means the proportions are exact, by a step's own norms about so.
    ratio = arrived["asr"].norm() / arrived["enh"].norm()
    assert ratio == pytest.approx(6.0, rel=0.6)
    torch.testing.assert_close(trunk.norm_G, torch.tensor(list(means.values())))


def test_without_evening_gradients_arrive_as_they_are_and_are_noted_all_the_same():
    trunk = TrunkGradients(TrunkGradients.Config(even=False), WEIGHTS)
    for _ in range(2):
        gradients = random_gradients({"asr": 100.0, "sep": 1e-3})
        arrived = send(trunk, **gradients)
        noted = trunk.take_noted()
        trunk.close_step()
    assert noted.keys() == gradients.keys()
    for task, gradient_BTD in gradients.items():
        torch.testing.assert_close(arrived[task], gradient_BTD)
        torch.testing.assert_close(noted[task], gradient_BTD.norm())
    assert trunk.take_noted() == {}


def test_a_task_that_a_step_lacks_keeps_its_mean_and_counts_for_the_others():
    trunk = TrunkGradients(TrunkGradients.Config(memory=0.9), WEIGHTS)
    send(trunk, **random_gradients({"asr": 10.0, "sep": 1.0}))
    trunk.close_step()
    before_G = trunk.norm_G.clone()
    send(trunk, **random_gradients({"asr": 10.0}))
    trunk.close_step()
    assert trunk.norm_G[1] == before_G[1]
    assert trunk.norm_G[0] != before_G[0]
    # One that has never come is let through as it is.
    first = random_gradients({"enh": 7.0})
    torch.testing.assert_close(send(trunk, **first)["enh"], first["enh"])


def test_micro_batches_of_a_step_count_by_their_mean():
    trunk = TrunkGradients(TrunkGradients.Config(), WEIGHTS)
    gradients = [torch.randn(2, 3, 4) for _ in range(3)]
    for gradient_BTD in gradients:
        send(trunk, sep=gradient_BTD)
    trunk.close_step(micro_batches=3)
    # What comes back has been divided by their number.
    mean = sum(3 * gradient_BTD.norm() for gradient_BTD in gradients) / 3
    torch.testing.assert_close(trunk.norm_G[1], mean)
    # The step is over: the next begins with nothing.
    send(trunk, sep=torch.zeros(1, 1, 1))
    trunk.close_step()
    torch.testing.assert_close(trunk.norm_G[1], 0.95 * mean)


def test_ranks_count_like_micro_batches(monkeypatch):
    trunk = TrunkGradients(TrunkGradients.Config(), WEIGHTS)
    own, others = torch.randn(2, 3, 4), torch.tensor([[2.0, 6.0, 0.0], [1.0, 2.0, 0.0]])
    monkeypatch.setattr(module, "sum_over_ranks", lambda own_XG: own_XG + others)
    send(trunk, asr=own)
    trunk.close_step()
    want_G = torch.stack([(own.norm() + 2.0) / 2, torch.tensor(3.0), torch.tensor(0.0)])
    torch.testing.assert_close(trunk.norm_G, want_G)


def test_a_task_of_weight_zero_leaves_the_others_finite():
    trunk = TrunkGradients(TrunkGradients.Config(), {"asr": 0.0, "sep": 1.0})
    for _ in range(2):
        arrived = send(trunk, asr=torch.zeros(1, 2, 3), sep=torch.ones(1, 2, 3))
        trunk.close_step()
    assert not arrived["asr"].any()
    torch.testing.assert_close(arrived["sep"], torch.ones(1, 2, 3))


def test_norms_do_not_overflow_and_keep_the_type_of_the_gradient_in_half_precision():
    trunk = TrunkGradients(TrunkGradients.Config(), WEIGHTS)
    large = torch.full((10, 10, 10), 3e4, dtype=torch.float16)
    for _ in range(2):
        arrived = send(trunk, sep=large)
        trunk.close_step()
    assert arrived["sep"].dtype == torch.float16
    torch.testing.assert_close(arrived["sep"], large)


def test_checkpoints_hold_the_running_means_alone():
    trunk = TrunkGradients(TrunkGradients.Config(), WEIGHTS)
    send(trunk, sep=torch.ones(1, 2, 3))
    trunk.close_step()
    again = TrunkGradients(TrunkGradients.Config(), WEIGHTS)
    again.load_state_dict(trunk.state_dict())
    assert set(trunk.state_dict()) == {"norm_G"}
    torch.testing.assert_close(again.norm_G, trunk.norm_G)


def test_frames_without_gradient_are_let_be():
    trunk = TrunkGradients(TrunkGradients.Config(), WEIGHTS)
    trunk.watch("asr", torch.zeros(1, 2, 3))
    assert trunk.take_noted() == {}
