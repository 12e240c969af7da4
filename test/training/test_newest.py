"""When the newest state is written: every so many steps, after a validation where one is due."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.errors import StoppedError
from aio_toolkit.training.newest import NewestState


class Log(lightning.Callback):
    """Notes validations; it stands before the keeper of the state."""

    def __init__(self, events: list[str]):
        self.events = events

    def on_validation_end(self, trainer, pl_module) -> None:
        self.events.append(f"validated {trainer.global_step}")


class Noted(NewestState):
    """Notes what it writes."""

    events: list[str] = []

    def _save_checkpoint(self, trainer, filepath: str) -> None:
        self.events.append(f"wrote {trainer.global_step}")
        super()._save_checkpoint(trainer, filepath)


class Still(lightning.LightningModule):
    """A module that does not learn."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch, index):
        return self.weight * 0

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def events_of(
    folder: Path, every: int, more: Sequence[lightning.Callback] = (), **options
) -> list[str]:
    """What happens in a run of four optimizer steps, without the steps themselves."""
    keeper = Noted(folder, every)
    Noted.events = []
    quiet = ("logger", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=4,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=[Log(Noted.events), keeper, *more],
        **dict.fromkeys(quiet, False),
        **options,
    )
    batches = 4 * options.get("accumulate_grad_batches", 1)
    trainer.fit(Still(), DataLoader(torch.zeros(batches, 1)), DataLoader(torch.zeros(1, 1)))
    return Noted.events


WROTE = [f"wrote {step}" for step in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            {"val_check_interval": 2},
            [*WROTE[:1], "validated 2", *WROTE[1:3], "validated 4", "wrote 4"],
        ),
        ({"val_check_interval": 3}, [*WROTE[:2], "validated 3", *WROTE[2:]]),
        # Two micro-batches a step: the third is in the middle of the second step.
        (
            {"val_check_interval": 3, "accumulate_grad_batches": 2},
            ["wrote 1", "validated 1", "wrote 2", "validated 3", "wrote 3", "wrote 4"],
        ),
        ({"val_check_interval": 9}, WROTE),
        ({"val_check_interval": 2, "limit_val_batches": 0}, WROTE),
    ],
)
def test_each_state_is_written_once_and_after_its_validation(tmp_path, options, wanted):
    assert events_of(tmp_path, every=1, **options) == wanted


def test_states_between_are_not_written(tmp_path):
    found = events_of(tmp_path, every=3, val_check_interval=2)
    assert found == ["validated 2", "wrote 3", "validated 4", "wrote 4"]


class Asks(lightning.Callback):
    """Sends this process a signal at the start of a step, and again some seconds later."""

    def __init__(self, number: int, batch: int, again: float | None = None):
        self.number, self.batch, self.again = number, batch, again

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if batch_idx == self.batch:
            os.kill(os.getpid(), self.number)
            if self.again is not None:
                time.sleep(self.again)
                os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("number", "options", "batch", "step", "end"),
    [
        (signal.SIGTERM, {}, 1, 2, ["wrote 2"]),
        (signal.SIGUSR1, {}, 2, 3, ["wrote 3"]),
        # After the validation that is due.
        (signal.SIGUSR1, {"val_check_interval": 2}, 1, 2, ["validated 2", "wrote 2"]),
        # In the middle of a step: at its end.
        (signal.SIGTERM, {"accumulate_grad_batches": 2}, 2, 2, ["wrote 2"]),
    ],
)
def test_a_signal_ends_the_run_behind_the_step_whose_state_is_written(
    tmp_path, number, options, batch, step, end
):
    before = signal.getsignal(number)
    asks = Asks(number, batch)
    with pytest.raises(StoppedError, match=f"^stopped by {number.name} after step {step} of 4"):
        events_of(tmp_path, every=100, more=[asks], **({"val_check_interval": 100} | options))
    assert Noted.events[-len(end) :] == end
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == step
    assert signal.getsignal(number) == before


def test_a_signal_in_the_last_step_changes_nothing(tmp_path):
    events = events_of(tmp_path, every=100, more=[Asks(signal.SIGTERM, 3)], val_check_interval=100)
    assert events == ["wrote 4"]


def test_a_signal_that_is_handed_on_besides_is_one(tmp_path):
    """As that to the processes of a terminal is, which a script hands on to what it runs."""
    asks = Asks(signal.SIGTERM, 1, again=0.0)
    with pytest.raises(StoppedError, match="^stopped by SIGTERM after step 2 of 4"):
        events_of(tmp_path, every=100, more=[asks], val_check_interval=100)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2


def test_who_asks_again_later_is_not_kept_waiting(tmp_path):
    asks = Asks(signal.SIGTERM, 1, again=1.1)
    with pytest.raises(StoppedError, match="^stopped by SIGTERM: run the same command again"):
        events_of(tmp_path, every=100, more=[asks], val_check_interval=100)
    assert not (tmp_path / "last.ckpt").exists()
