"""The options of the trainer, told at once."""

import inspect
import subprocess
import sys

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.training.trainer_options import check_trainer, lightning_options


def test_the_options_read_off_the_source_are_those_of_lightning():
    import lightning

    assert lightning_options() == set(inspect.signature(lightning.Trainer).parameters)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "key 'trainer.max_steps' has no value"),
        ({"max_steps": "abc"}, "trainer.max_steps is a whole number from 1 on, not 'abc'"),
        ({"max_steps": True}, "trainer.max_steps is a whole number from 1 on, not True"),
        ({"max_steps": 3, "max_stepz": 3}, "Did you mean 'trainer.max_steps'"),
        ({"max_steps": 3, "plugins": []}, "unknown key 'trainer.plugins'"),
        ({"max_steps": 3, "val_check_interval": 0.5}, "trainer.val_check_interval is a number"),
        ({"max_steps": 3, "gradient_clip_val": "nan"}, "trainer.gradient_clip_val is a number"),
    ],
)
def test_a_wrong_option_is_one_line(section, message):
    with pytest.raises(AioError, match=message):
        check_trainer(section)


def test_the_section_may_say_what_lightning_and_the_toolkit_know():
    check_trainer({"max_steps": 3, "checkpoint_every": 2, "gradient_clip_val": None})


@pytest.mark.parametrize("command", ["train_ssl", "train_aio", "adapt", "train_codec"])
def test_commands_tell_it_without_importing_lightning(command):
    """Before any folder is looked for."""
    options = ["trainer.max_steps=0", *(["trained=exp"] if command == "adapt" else [])]
    code = f"""
import importlib, sys
from types import SimpleNamespace
command = importlib.import_module("aio_toolkit.bin.{command}")
command.parse = lambda parser: SimpleNamespace(config=None, set={options})
try:
    command.main()
except SystemExit as error:
    print(error, {{"lightning", "torch"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    told = "error: trainer.max_steps is a whole number from 1 on, not 0. set()\n"
    assert done.stdout == told, done.stderr
