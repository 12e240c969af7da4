"""One training run, of a model that counts: what it keeps, resumes from, clips and refuses."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.errors import AioError
from aio_toolkit.folders import alone_in
from aio_toolkit.training import fit
from aio_toolkit.training.clipping import ClippingModule
from aio_toolkit.training.run import Run


@dataclass
class CounterConfig:
    trainer: dict[str, Any] = field(default_factory=dict)


class Counter(lightning.LightningModule):
    """Its weight is the number of steps; after each the next of the given losses is validated.

    Its gradient is `-slope`, its rate 2.
    """

    def __init__(
        self,
        losses: Sequence[float],
        slope: float = 0.5,
        dies_in: int | None = None,
        takes: float = 0.0,
    ):
        super().__init__()
        self.takes = takes
        self.weight = nn.Parameter(torch.zeros(()))
        self.losses, self.slope, self.dies_in = losses, slope, dies_in

    def training_step(self, batch, index):
        if self.global_step + 1 == self.dies_in:
            raise RuntimeError("killed")
        time.sleep(self.takes)
        return -self.slope * self.weight

    def validation_step(self, batch, index):
        self.log("val/loss", self.losses[self.global_step - 1], batch_size=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=2.0)


class Nothing(lightning.LightningDataModule):
    """As many empty batches as there are steps left."""

    def train_dataloader(self):
        return DataLoader(torch.zeros(self.trainer.max_steps, 1))

    def val_dataloader(self):
        return DataLoader(torch.zeros(1, 1))


def count(out: Path, module: Counter, **options) -> float:
    """Run the counter for as many steps as it has losses; the weight that it is left with."""
    trainer = {
        "max_steps": len(module.losses),
        "val_check_interval": 1,
        "checkpoint_every": 1,
        "accelerator": "cpu",
        "enable_progress_bar": False,
    }
    checkpoint = fit.fit(module, Nothing(), Run(CounterConfig(trainer | options), out))
    fit.load_weights(module, checkpoint)
    return module.weight.item()


quiet = pytest.mark.filterwarnings("ignore:You are using LearningRateMonitor")


@quiet
@pytest.mark.parametrize(
    ("losses", "best"), [([3, 1, 2], 2), ([1, 2, 3], 1), ([3, 2, 1], 3), ([2, 1, 3, 0.5, 4], 4)]
)
def test_the_weights_with_the_least_validation_loss_are_kept(tmp_path, losses, best):
    assert count(tmp_path, Counter(losses)) == best


@quiet
def test_the_newest_weights_are_kept_to_go_on_from(tmp_path):
    count(tmp_path, Counter([3, 1, 2]))
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3
    assert last["state_dict"]["weight"] == 3


@quiet
def test_a_resumed_run_still_knows_the_best_before_it(tmp_path):
    losses = [3, 1, 2, 4]
    with pytest.raises(RuntimeError):
        count(tmp_path, Counter(losses, dies_in=4))
    assert count(tmp_path, Counter(losses)) == 2
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["state_dict"]["weight"] == 4


@quiet
def test_a_resumed_run_knows_the_validation_at_its_checkpoint(tmp_path):
    """The best is that of step 3, where the run resumes; step 4 is better than the two before."""
    losses = [3, 2, 1, 1.5]
    with pytest.raises(RuntimeError):
        count(tmp_path, Counter(losses, dies_in=4))
    assert count(tmp_path, Counter(losses)) == 3


@quiet
def test_a_run_that_was_never_validated_ends_with_its_last_weights(tmp_path):
    assert count(tmp_path, Counter([0, 0, 0]), val_check_interval=5) == 3


@quiet
@pytest.mark.parametrize(("options", "norm"), [({}, 1.0), ({"gradient_clip_val": 0.5}, 0.5)])
def test_gradients_are_clipped_to_one_unless_told_otherwise(tmp_path, options, norm):
    moved = count(tmp_path, Counter([1.0], slope=7.0), **options)
    assert moved == pytest.approx(2 * norm, rel=1e-5)


@quiet
@pytest.mark.parametrize("damaged", [b"", b"half of a checkpoint"])
def test_a_damaged_state_costs_the_steps_since_the_one_before(tmp_path, capsys, damaged):
    losses = [4, 3, 2, 1]
    with pytest.raises(RuntimeError):
        count(tmp_path, Counter(losses, dies_in=4))
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(damaged)
    assert count(tmp_path, Counter(losses)) == 4
    assert "the run goes on from" in capsys.readouterr().out


@quiet
def test_time_that_is_over_leaves_a_run_that_goes_on(tmp_path):
    """Each call has the time for itself."""
    losses, over = [4, 3, 2, 1], {"max_time": {"seconds": 0.3}, "checkpoint_every": 100}
    for step in (1, 2, 3):
        with pytest.raises(AioError, match=rf"^the training ended after {step} of 4 steps\. Run"):
            count(tmp_path, Counter(losses, takes=0.4), **over)
    assert count(tmp_path, Counter(losses, takes=0.4), **over) == 4


@quiet
def test_a_try_is_no_training(tmp_path):
    with pytest.raises(AioError, match=r"^the try of 1 of 3 steps went well\. Run it without"):
        count(tmp_path, Counter([3, 2, 1]), fast_dev_run=True)
    assert not (tmp_path / "checkpoints").exists()
    assert count(tmp_path, Counter([3, 2, 1])) == 3


@quiet
@pytest.mark.parametrize("val_check_interval", [1, 5])
def test_a_finished_run_goes_on_to_more_steps(tmp_path, capsys, val_check_interval):
    options = {"val_check_interval": val_check_interval, "checkpoint_every": 100}
    assert count(tmp_path, Counter([4, 3, 2]), **options) == 3
    assert count(tmp_path, Counter([4, 3, 2, 1, 0]), **options) == 5
    assert f"{tmp_path} goes on to 5 steps" in capsys.readouterr().out
    with pytest.raises(AioError, match=r"trainer\.max_steps: 5 there, 4 now"):
        count(tmp_path, Counter([4, 3, 2, 1]), **options)


@quiet
def test_a_run_that_fails_before_it_has_learnt_anything_takes_no_folder(tmp_path):
    with pytest.raises(RuntimeError):
        count(tmp_path, Counter([1, 2], dies_in=1), gradient_clip_val=0.5)
    assert count(tmp_path, Counter([2, 1])) == 2
    with pytest.raises(AioError, match="begun with another configuration"):
        count(tmp_path, Counter([2, 1]), gradient_clip_val=0.5)


@quiet
def test_two_runs_do_not_write_into_one_folder(tmp_path):
    with alone_in(tmp_path), pytest.raises(AioError, match=f"another run .* {tmp_path}"):
        count(tmp_path, Counter([1]))
    assert count(tmp_path, Counter([1])) == 1


@quiet
def test_a_gradient_that_is_not_a_number_costs_that_step_alone(tmp_path):
    class Nan(Counter, ClippingModule):
        def on_before_optimizer_step(self, optimizer):
            if self.global_step == 2:
                self.weight.grad.fill_(float("nan"))

    with pytest.raises(AioError, match="norm of the gradients is nan at step 2"):
        count(tmp_path, Nan([4, 3, 2, 1]))
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["state_dict"]["weight"] == 2
    assert count(tmp_path, Counter([4, 3, 2, 1])) == 4
