"""Training runs: they learn, resume exactly in the middle, and refuse what would corrupt them."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import SSL_OVERRIDES

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_ssl
from aio_toolkit.training import fit
from aio_toolkit.training.config import SslTrainConfig
from aio_toolkit.training.modules import SslModule
from aio_toolkit.training.pretrain import pretrain


def config(*more: str) -> SslTrainConfig:
    return load_config(SslTrainConfig, None, [*SSL_OVERRIDES, *more])


def run(root, out, *more: str):
    pretrain(config(*more), root / "data", root / "dump", root / out, ("train", "dev"))
    return load_ssl(root / out / "model.pt")[0].state_dict()


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path, write_dump, monkeypatch):
    write_dump(tmp_path)
    whole = run(tmp_path, "whole")
    original, steps = SslModule.training_step, []

    def dies_at_the_sixth(self, batch, index):
        steps.append(self.global_step)
        if len(steps) == 6:
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(SslModule, "training_step", dies_at_the_sixth)
    with pytest.raises(RuntimeError):
        run(tmp_path, "resumed")
    assert not (tmp_path / "resumed" / "model.pt").exists()
    resumed = run(tmp_path, "resumed")
    assert steps == [
        0,
        1,
        2,
        3,
        4,
        5,
        4,
        5,
        6,
        7,
    ]  # from the checkpoint after step 4, and not from the start
    # Which frames are hidden is drawn anew after a restart, so the weights are close and not equal.
    for name, value in whole.items():
        assert torch.isfinite(resumed[name]).all()
        assert resumed[name].shape == value.shape


def test_validation_loss_falls_on_data_with_structure(tmp_path, write_dump):
    write_dump(tmp_path)
    run(tmp_path, "exp", "trainer.max_steps=60", "trainer.val_check_interval=20", "optim.lr=0.01")
    rows = list(csv.DictReader(next((tmp_path / "exp" / "logs").glob("*/metrics.csv")).open()))
    losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_a_run_shorter_than_the_way_to_a_checkpoint_leaves_its_last_weights(tmp_path, write_dump):
    write_dump(tmp_path)
    run(tmp_path, "short", "trainer.max_steps=1")
    assert (tmp_path / "short" / "checkpoints" / "last.ckpt").is_file()


def test_a_finished_run_is_not_done_again(tmp_path, write_dump, capsys):
    write_dump(tmp_path)
    run(tmp_path, "exp")
    before = (tmp_path / "exp" / "model.pt").stat().st_mtime_ns
    run(tmp_path, "exp")
    assert (tmp_path / "exp" / "model.pt").stat().st_mtime_ns == before
    assert "nothing to do" in capsys.readouterr().out


def test_a_folder_of_another_configuration_is_refused(tmp_path, write_dump):
    write_dump(tmp_path)
    run(tmp_path, "exp")
    with pytest.raises(AioError, match=r"optim\.lr"):
        run(tmp_path, "exp", "optim.lr=0.5")


def test_unknown_trainer_keys_are_named(tmp_path, write_dump):
    write_dump(tmp_path)
    with pytest.raises(AioError, match="trainer.max_stepz'. Did you mean 'trainer.max_steps'"):
        run(tmp_path, "exp", "trainer.max_stepz=3")


def test_a_loss_that_is_not_a_number_stops_the_run_with_a_remedy(tmp_path, write_dump, monkeypatch):
    write_dump(tmp_path)
    original = SslModule.training_step

    def poisoned(self, batch, index):
        if index == 3:
            batch.feats_BTF[:] = float("nan")
        return original(self, batch, index)

    monkeypatch.setattr(SslModule, "training_step", poisoned)
    with pytest.raises(AioError, match="loss is nan at step 3.*optim.lr"):
        run(tmp_path, "exp")
    assert (tmp_path / "exp" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_auto_is_what_the_machine_is_fast_at(
    tmp_path, write_dump, monkeypatch, has_bfloat16, precision
):
    write_dump(tmp_path)
    original, used = SslModule.training_step, []

    def spy(self, batch, index):
        used.append(self.trainer.precision)
        return original(self, batch, index)

    monkeypatch.setattr(SslModule, "training_step", spy)
    monkeypatch.setattr(fit, "multiplies_bfloat16", lambda device: has_bfloat16)
    run(tmp_path, "exp", "trainer.precision=auto", "trainer.max_steps=1")
    assert used == [precision]


def test_a_stage_asked_for_too_early_names_the_one_before(tmp_path):
    with pytest.raises(AioError, match="Run stage 1"):
        run(tmp_path, "exp")


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_nothing_before_the_last_checkpoint(tmp_path, write_dump):
    write_dump(tmp_path)
    (tmp_path / "conf.yaml").write_text("seed: 0\n")
    command = [
        sys.executable,
        "-m",
        "aio_toolkit.bin.train_ssl",
        "--config",
        "conf.yaml",
        "--out",
        "exp",
        "--set",
    ]
    command += [*SSL_OVERRIDES, "trainer.max_steps=150"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    last, model = tmp_path / "exp" / "checkpoints" / "last.ckpt", tmp_path / "exp" / "model.pt"

    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    deadline = time.monotonic() + 120
    while not last.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert last.is_file()
    assert not model.exists()
    reached = torch.load(last, weights_only=False)["global_step"]

    again = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert again.returncode == 0, again.stderr
    assert model.is_file()
    assert torch.load(last, weights_only=False)["global_step"] == 150
    rows = csv.DictReader(sorted((tmp_path / "exp" / "logs").glob("*/metrics.csv"))[-1].open())
    assert min(int(row["step"]) for row in rows if row.get("train/loss")) >= reached
