"""The trainer that a configuration asks for, and what of it is refused, in one line each."""

import lightning
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy

from aio_toolkit.errors import AioError
from aio_toolkit.training.checkpoints import CheckpointFiles
from aio_toolkit.training.trainer import make_trainer

LEAST_LOSS = ("val/loss", "min")
DDP = "lightning.pytorch.strategies.DDPStrategy"


def make(folder, **options) -> lightning.Trainer:
    section = {"max_steps": 8, "accelerator": "cpu", "enable_progress_bar": False}
    return make_trainer(section | options, folder, LEAST_LOSS)


def test_everything_is_written_into_the_folder_of_the_run(tmp_path):
    trainer = make(tmp_path)
    assert trainer.default_root_dir == str(tmp_path)
    assert isinstance(trainer.strategy.checkpoint_io, CheckpointFiles)
    (csv,) = [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]
    assert csv.save_dir == str(tmp_path)
    keepers = [callback for callback in trainer.callbacks if isinstance(callback, ModelCheckpoint)]
    assert [keeper.dirpath for keeper in keepers] == [str(tmp_path / "checkpoints")] * 2


def test_a_run_may_do_without_logs(tmp_path):
    assert make(tmp_path, logger=False).loggers == []


def test_callbacks_and_strategy_are_made_of_what_the_configuration_names(tmp_path):
    timer = {
        "class_path": "lightning.pytorch.callbacks.Timer",
        "init_args": {"duration": {"hours": 1}},
    }
    strategy = {"class_path": DDP, "init_args": {"find_unused_parameters": True}}
    trainer = make(tmp_path, callbacks=[timer], strategy=strategy, devices=2)
    assert any(isinstance(callback, Timer) for callback in trainer.callbacks)
    assert isinstance(trainer.strategy, DDPStrategy)
    assert trainer.strategy._ddp_kwargs["find_unused_parameters"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callbacks": [{"class_path": "of.nobody.Witness"}]}, "cannot make of.nobody.Witness: No"),
        (
            {"callbacks": [{"class_path": "lightning.pytorch.callbacks.Nonesuch"}]},
            "cannot make lightning.pytorch.callbacks.Nonesuch",
        ),
        (
            {"callbacks": [{"class_path": f"{DDP}", "init_args": {"wrong": 1}}]},
            "DDPStrategy is no Callback of Lightning",
        ),
        # Neither is called: it would run.
        ({"callbacks": [{"class_path": "os.abort"}]}, "os.abort is no Callback of Lightning"),
        ({"strategy": {"class_path": "builtins.exec", "init_args": {}}}, "exec is no Strategy"),
        ({"callbacks": ["Timer"]}, "Timer is not of the form"),
        ({"max_step": 8}, "unknown key 'trainer.max_step'. Did you mean 'trainer.max_steps'"),
        ({"max_steps": 0}, "trainer.max_steps is a whole number from 1 on, not 0"),
        ({"max_steps": "abc"}, "trainer.max_steps is a whole number from 1 on, not 'abc'"),
        ({"max_steps": True}, "trainer.max_steps is a whole number from 1 on, not True"),
        ({"checkpoint_every": -3}, "trainer.checkpoint_every is a whole number from 1 on"),
        ({"accumulate_grad_batches": 0}, "trainer.accumulate_grad_batches is a whole number"),
        ({"gradient_clip_val": -1.0}, "trainer.gradient_clip_val is a number from 0 on, not -1.0"),
        ({"val_check_interval": 0}, "trainer.val_check_interval is a number from 1 on, not 0"),
        ({"precision": "8-bit"}, "trainer: .*8-bit"),
        ({"accelerator": "abacus"}, "trainer: .*abacus"),
        ({"devices": 0}, "trainer: "),
        ({"strategy": "none_such"}, "trainer: .*none_such"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, options, message):
    with pytest.raises(AioError, match=message) as caught:
        make(tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_a_run_without_an_end_is_refused(tmp_path):
    with pytest.raises(AioError, match=r"'trainer\.max_steps' has no value"):
        make_trainer({"accelerator": "cpu"}, tmp_path, LEAST_LOSS)


def test_processes_that_do_not_know_of_each_other_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(AioError, match="2 processes were started, but .* make 1"):
        make(tmp_path)
    assert make(tmp_path, devices=2, strategy="ddp").world_size == 2
