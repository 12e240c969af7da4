"""When the newest state is written: every so many steps, after a validation where one is due."""

from pathlib import Path

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.training.newest import NewestState


class Log(lightning.Callback):
    """Notes validations; it stands before the keeper of the state."""

    def __init__(self, events: list[str]):
        self.events = events

    def on_validation_end(self, trainer, pl_module) -> None:
        self.events.append(f"validated {trainer.global_step}")


class Noted(NewestState):
    """Notes what it writes."""

    events: list[str]

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


def events_of(folder: Path, every: int, **options) -> list[str]:
    """What happens in a run of four optimizer steps, without the steps themselves."""
    keeper = Noted(folder, filename="last", every_n_train_steps=every, save_top_k=1)
    keeper.events = []
    quiet = ("logger", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=4,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=[Log(keeper.events), keeper],
        **dict.fromkeys(quiet, False),
        **options,
    )
    batches = 4 * options.get("accumulate_grad_batches", 1)
    trainer.fit(Still(), DataLoader(torch.zeros(batches, 1)), DataLoader(torch.zeros(1, 1)))
    return keeper.events


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
    assert found == ["validated 2", "wrote 3", "validated 4"]
