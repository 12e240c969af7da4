"""What the modules of stages 3 and 4 share: their optimizer, their checks, their log."""

import re
import warnings
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_batch
from tiny_training import recorded
from torch import nn

from aio_toolkit.errors import AioError, shown
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.monitor import SpikeMonitor
from aio_toolkit.training.optim import Optim


def make() -> TrainingModule:
    return TrainingModule(nn.Linear(3, 2), Optim.Config(lr=0.5, warmup_steps=4))


def test_all_parameters_that_train_are_optimized_over_the_steps_of_the_run():
    module = make()
    module.model.bias.requires_grad_(False)
    module.trainer = SimpleNamespace(max_steps=12)
    made = module.configure_optimizers()
    groups = made["optimizer"].param_groups
    assert [p for group in groups for p in group["params"]] == [module.model.weight]
    rate = made["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert [rate(step) for step in (0, 3, 8, 12)] == pytest.approx([0.25, 1.0, 0.5, 0.0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_a_number_names_utterances_step_and_remedy(value):
    module = make()
    module.trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=2)
    ids = tiny_batch().ids
    for index in (1, 2, 3):
        module.on_train_batch_start(tiny_batch(), index)
    assert module.ids == [*ids, *ids]
    whose = re.escape(f"(batch with {shown(module.ids)})")
    with pytest.raises(AioError, match=rf"the loss is {value} at step 0 {whose}\. Lower optim.lr"):
        module.check_finite(torch.tensor(value), "the loss")


def test_any_other_loss_passes():
    make().check_finite(torch.tensor(1e30))


def test_a_loss_far_above_those_before_is_told_with_its_utterances():
    module = make()
    recorded(module)
    module.ids = ["asr-1", "sep-2"]
    losses = [-3.0 + 0.1 * (step % 2) for step in range(SpikeMonitor.LEAST)]
    with warnings.catch_warnings(action="error"):
        for loss in [99.0, *losses]:
            module.log_loss("train", torch.tensor(loss), batch_size=2)
            module.log_loss("val", torch.tensor(99.0), batch_size=2)
    module.spikes.before.popleft()
    with pytest.warns(UserWarning, match=r"rose to -2\.1 at step 0, .*\(batch with asr-1, sep-2\)"):
        module.log_loss("train", torch.tensor(-2.1), batch_size=2)


def test_figures_are_logged_under_the_name_of_their_split():
    module = make()
    figures = recorded(module)
    module.log_figures("val", {"ctc": torch.tensor(2.0)}, batch_size=3)
    module.log_loss("train", torch.tensor(5.0, requires_grad=True), batch_size=3)
    assert figures == {"val/ctc": 2.0, "train/loss": 5.0}
