"""`trainer.precision: auto` is settled once for a run; one rank says and writes for all."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.utilities import rank_zero_only

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.training import run as module
from aio_toolkit.training.run import Run


@dataclass
class RunConfig:
    lr: float = 0.5
    trainer: dict[str, Any] = field(default_factory=dict)


def claim(out: Path, precision: str | None, **trainer: Any) -> str | None:
    """The precision that a run is to have, begun or gone on with in a folder."""
    options = {"max_steps": 4, **trainer}
    if precision is not None:
        options["precision"] = precision
    run = Run(RunConfig(trainer=options), out)
    settled = run.settled()
    run.claim(settled)
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    (out / "checkpoints" / "last.ckpt").touch()
    return settled.trainer.get("precision")


def stored(out: Path) -> str:
    return load_config(RunConfig, out / "config.yaml").trainer["precision"]


@pytest.fixture
def machine(monkeypatch):
    """A function that gives the machine arithmetic for bfloat16, or takes it away."""

    def equip(has_bfloat16: bool) -> list[str]:
        asked = []
        monkeypatch.setattr(
            module, "multiplies_bfloat16", lambda device: asked.append(device) or has_bfloat16
        )
        return asked

    return equip


@pytest.mark.parametrize(("has_bfloat16", "fastest"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_run_stores_what_its_machine_is_fast_at(tmp_path, machine, capsys, has_bfloat16, fastest):
    machine(has_bfloat16)
    assert claim(tmp_path, "auto") == stored(tmp_path) == fastest
    assert f"precision {fastest}: this CPU has" in capsys.readouterr().out


@pytest.mark.parametrize(("accelerator", "device"), [("cpu", "cpu"), ("gpu", "cuda")])
def test_the_device_that_is_asked_for_is_the_run_s(tmp_path, machine, accelerator, device):
    asked = machine(True)
    claim(tmp_path, "auto", accelerator=accelerator)
    assert asked == [device]


@pytest.mark.parametrize(("begun", "later"), [(True, False), (False, True)])
def test_a_run_that_goes_on_elsewhere_keeps_its_precision_and_says_so(
    tmp_path, machine, capsys, begun, later
):
    machine(begun)
    first = claim(tmp_path, "auto")
    capsys.readouterr()
    machine(later)
    assert claim(tmp_path, "auto") == stored(tmp_path) == first
    has = "has" if later else "has no"
    assert f"precision {first}, as the run began, although this CPU {has} bfloat16" in (
        capsys.readouterr().out
    )


def test_a_run_that_goes_on_on_a_like_machine_says_nothing(tmp_path, machine, capsys):
    machine(True)
    claim(tmp_path, "auto")
    capsys.readouterr()
    claim(tmp_path, "auto")
    assert capsys.readouterr().out == ""


def test_a_precision_by_name_is_kept_as_it_is(tmp_path, machine):
    asked = machine(True)
    assert claim(tmp_path, "32-true") == stored(tmp_path) == "32-true"
    assert asked == []


def test_naming_the_precision_that_was_chosen_goes_on_with_the_run(tmp_path, machine):
    machine(True)
    claim(tmp_path, "auto")
    assert claim(tmp_path, "bf16-mixed") == "bf16-mixed"
    with pytest.raises(AioError, match="trainer.precision: bf16-mixed there, 32-true now"):
        claim(tmp_path, "32-true")


def test_a_run_without_a_precision_is_another_configuration(tmp_path, machine):
    machine(True)
    claim(tmp_path, None)
    with pytest.raises(AioError, match="trainer.precision: None there, bf16-mixed now"):
        claim(tmp_path, "auto")


# --- ranks ---


@pytest.mark.parametrize(("rank", "first"), [(0, True), (1, False)])
def test_only_the_first_rank_speaks_and_writes(tmp_path, monkeypatch, machine, capsys, rank, first):
    machine(True)
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    assert module.is_first_rank() == first
    assert claim(tmp_path, "auto") == "bf16-mixed"
    assert (tmp_path / "config.yaml").is_file() == first
    module.say("done")
    said = capsys.readouterr().out
    assert ("done" in said) == ("precision" in said) == first
