"""One training run, of a model that counts: what it keeps, resumes from, clips and refuses."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.errors import AioError
from aio_toolkit.training import fit
from aio_toolkit.training.run import Run


@dataclass
class CounterConfig:
    trainer: dict[str, Any] = field(default_factory=dict)


class Counter(lightning.LightningModule):
    """Its weight is the number of steps; after each the next of the given losses is validated.

    Its gradient is `-slope`, its rate 2.
    """

    def __init__(self, losses: Sequence[float], slope: float = 0.5, dies_in: int | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.losses, self.slope, self.dies_in = losses, slope, dies_in

    def training_step(self, batch, index):
        if self.global_step + 1 == self.dies_in:
            raise RuntimeError("killed")
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
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 3
    assert last["state_dict"]["weight"] == 3


@quiet
def test_a_resumed_run_still_knows_the_best_before_it(tmp_path):
    losses = [3, 1, 2, 4]
    with pytest.raises(RuntimeError):
        count(tmp_path, Counter(losses, dies_in=4))
    assert count(tmp_path, Counter(losses)) == 2
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
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


class Witness(lightning.Callback):
    """A user's callback."""

    seen: list[tuple[str, int]] = []

    def __init__(self, name: str):
        self.name = name

    def on_train_end(self, trainer, pl_module) -> None:
        self.seen.append((self.name, trainer.global_step))


@quiet
def test_callbacks_of_the_configuration_are_called(tmp_path, monkeypatch):
    monkeypatch.setattr(Witness, "seen", [])
    monkeypatch.setitem(sys.modules, "of_the_user", SimpleNamespace(Witness=Witness))
    spec = {"class_path": "of_the_user.Witness", "init_args": {"name": "mine"}}
    count(tmp_path, Counter([1.0, 1.0]), callbacks=[spec])
    assert Witness.seen == [("mine", 2)]


@pytest.mark.parametrize(
    "spec",
    [
        {"class_path": "of.nobody.Witness"},
        {"class_path": "lightning.pytorch.callbacks.Nonesuch"},
        {"class_path": "lightning.pytorch.callbacks.Timer", "init_args": {"wrong": 1}},
    ],
)
def test_a_callback_that_cannot_be_made_is_named(tmp_path, spec):
    with pytest.raises(AioError, match=f"cannot make {spec['class_path']}"):
        count(tmp_path, Counter([1.0]), callbacks=[spec])


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"max_steps": -1}])
def test_a_run_without_an_end_is_refused(tmp_path, options):
    with pytest.raises(AioError, match=r"'trainer\.max_steps' has no value"):
        count(tmp_path, Counter([1.0]), **options)
