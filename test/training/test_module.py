"""What the modules of stages 3 and 4 share: their optimizer, their checks, their log."""

from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_batch
from tiny_training import recorded
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.training.module import TrainingModule
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
    message = (
        rf"the loss is {value} at step 0 \(batch with asr-0, asr-1, sep-2, sep-3, ...\).*optim.lr"
    )
    with pytest.raises(AioError, match=message):
        make().check_finite(torch.tensor(value), tiny_batch(), "the loss")


def test_any_other_loss_passes():
    make().check_finite(torch.tensor(1e30), tiny_batch())


def test_figures_are_logged_under_the_name_of_their_split():
    module = make()
    figures = recorded(module)
    module.log_figures("val", {"ctc": torch.tensor(2.0)}, batch_size=3)
    module.log_loss("train", torch.tensor(5.0, requires_grad=True), batch_size=3)
    assert figures == {"val/ctc": 2.0, "train/loss": 5.0}
