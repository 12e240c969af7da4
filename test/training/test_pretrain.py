"""Stage 3 from dump to model: it learns, resumes exactly, and refuses what would corrupt."""

import csv
import dataclasses
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import CODEC, HOP, SSL_OVERRIDES, TASKS, TASKS_YAML, write_dump
from tiny_training import corpus_in, curve, last_state

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.models import masking
from aio_toolkit.models.checkpoint import load_ssl
from aio_toolkit.training import run as of_run
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import PretrainingDataset
from aio_toolkit.training.pretrain import STATISTICS_BATCHES, PretrainModule, pretrain


def config(*more: str) -> PretrainModule.Config:
    return load_config(PretrainModule.Config, None, [*SSL_OVERRIDES, *more])


def run(root: Path, out: str, *more: str) -> dict[str, torch.Tensor]:
    pretrain(config(*more), corpus_in(root), root / out)
    return load_ssl(root / out / "model.pt").encoder.state_dict()


def every_third_frame(valid_BT: torch.Tensor, share: float, span: int) -> torch.Tensor:
    """In the place of `sample_spans`, which draws anew after a restart."""
    return valid_BT & (torch.arange(valid_BT.shape[1]) % 3 == 0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_killed_run_ends_bit_equal_to_one_that_was_not(tmp_path, monkeypatch, accumulate):
    write_dump(tmp_path)
    monkeypatch.setattr(masking, "sample_spans", every_third_frame)
    options = (f"trainer.accumulate_grad_batches={accumulate}", "trainer.val_check_interval=4")
    whole = run(tmp_path, "whole", *options)
    original, steps = PretrainModule.training_step, []

    def dies_in_the_sixth_step(self, batch, index):
        steps.append(self.global_step)
        if len(steps) == 6 * accumulate:
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(PretrainModule, "training_step", dies_in_the_sixth_step)
    with pytest.raises(RuntimeError):
        run(tmp_path, "resumed", *options)
    assert not (tmp_path / "resumed" / "model.pt").exists()
    resumed = run(tmp_path, "resumed", *options)
    # From the checkpoint after step 4, and not from the start.
    expected = [0, 1, 2, 3, 4, 5, 4, 5, 6, 7]
    assert steps == [step for step in expected for _ in range(accumulate)]
    torch.testing.assert_close(resumed, whole, atol=0, rtol=0)
    states = [last_state(tmp_path / name) for name in ("whole", "resumed")]
    torch.testing.assert_close(*states, atol=0, rtol=0)
    losses = [curve(tmp_path / name, "train/loss") for name in ("whole", "resumed")]
    assert losses[0] == losses[1]


def test_the_rate_of_every_step_follows_warm_up_and_cosine(tmp_path):
    write_dump(tmp_path)
    run(tmp_path, "exp", "optim.lr=0.01", "optim.warmup_steps=2", "trainer.max_steps=6")
    # A half and the whole of the peak, then (1 + cos(pi i / 4)) / 2 of it.
    cosine = [(1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)]
    wanted = [0.01 * share for share in (0.5, 1.0, *cosine)]
    for group in ("pg1", "pg2"):
        rates = curve(tmp_path / "exp", f"lr-AdamW/{group}")
        assert [rates[step] for step in range(6)] == pytest.approx(wanted)


def test_validation_loss_falls_on_data_with_structure(tmp_path):
    four_codes = dataclasses.replace(CODEC, codebook_size=4)
    write_dump(tmp_path, predictable=True, num=24, codec=four_codes)
    options = ("trainer.max_steps=80", "trainer.val_check_interval=20", "optim.lr=0.01")
    run(tmp_path, "exp", *options)
    losses = list(curve(tmp_path / "exp", "val/loss").values())
    assert len(losses) == 4
    # Who guesses among four codes pays ln 4.
    assert losses[-1] < 0.5 * math.log(4)
    assert losses[-1] < losses[0]


def test_a_run_shorter_than_the_way_to_a_checkpoint_leaves_its_last_weights(tmp_path):
    write_dump(tmp_path)
    run(tmp_path, "short", "trainer.max_steps=1")
    assert (tmp_path / "short" / "checkpoints" / "last.ckpt").is_file()


def test_a_finished_run_is_not_done_again(tmp_path, capsys):
    write_dump(tmp_path)
    run(tmp_path, "exp")
    before = (tmp_path / "exp" / "model.pt").stat().st_mtime_ns
    run(tmp_path, "exp")
    assert (tmp_path / "exp" / "model.pt").stat().st_mtime_ns == before
    assert "nothing to do" in capsys.readouterr().out


def test_a_folder_of_another_configuration_is_refused(tmp_path):
    write_dump(tmp_path)
    run(tmp_path, "exp")
    with pytest.raises(AioError, match=r"optim\.lr"):
        run(tmp_path, "exp", "optim.lr=0.5")


@pytest.mark.parametrize("split", ["train", "dev"])
def test_data_that_have_changed_are_noticed_and_the_remedy_works(tmp_path, split):
    write_dump(tmp_path)
    run(tmp_path, "exp")
    wave = next((tmp_path / "waves").glob(f"asr-{split}-*.wav"))
    wave.write_bytes(wave.read_bytes() + b"  ")
    with pytest.raises(AioError, match=f"exp was begun before .*data/{split} changed. Delete"):
        run(tmp_path, "exp")
    shutil.rmtree(tmp_path / "exp")
    run(tmp_path, "exp")


def test_unknown_trainer_keys_are_named(tmp_path):
    write_dump(tmp_path)
    with pytest.raises(AioError, match="trainer.max_stepz'. Did you mean 'trainer.max_steps'"):
        run(tmp_path, "exp", "trainer.max_stepz=3")


def test_a_loss_that_is_not_a_number_stops_the_run_with_a_remedy(tmp_path, monkeypatch):
    write_dump(tmp_path)
    original = PretrainModule.training_step

    def poisoned(self, batch, index):
        if index == 3:
            batch.wave_BS[:] = float("nan")
        return original(self, batch, index)

    monkeypatch.setattr(PretrainModule, "training_step", poisoned)
    with pytest.raises(AioError, match="loss is nan at step 3.*optim.lr"):
        run(tmp_path, "exp")
    assert (tmp_path / "exp" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_auto_is_what_the_machine_is_fast_at(
    tmp_path, monkeypatch, has_bfloat16, precision
):
    write_dump(tmp_path)
    original, used = PretrainModule.training_step, []

    def spy(self, batch, index):
        used.append(self.trainer.precision)
        return original(self, batch, index)

    monkeypatch.setattr(PretrainModule, "training_step", spy)
    monkeypatch.setattr(of_run, "multiplies_bfloat16", lambda device: has_bfloat16)
    run(tmp_path, "exp", "trainer.precision=auto", "trainer.max_steps=1")
    assert used == [precision]


def test_a_stage_asked_for_too_early_names_the_one_before(tmp_path):
    with pytest.raises(AioError, match=r"data/train has no wav.scp.*Run stage 1"):
        run(tmp_path, "exp")


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_nothing_before_the_last_checkpoint(tmp_path):
    write_dump(tmp_path)
    (tmp_path / "conf.yaml").write_text("seed: 0\n")
    command = [sys.executable, "-m", "aio_toolkit.bin.train_ssl", "--config", "conf.yaml"]
    command += ["--tasks_config", str(TASKS_YAML), "--out", "exp"]
    command += ["--set", *SSL_OVERRIDES, "trainer.max_steps=150"]
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
    reached = torch.load(last, weights_only=True)["global_step"]

    options = {"cwd": tmp_path, "env": environment, "timeout": 300}
    again = subprocess.run(command, capture_output=True, text=True, **options)
    assert again.returncode == 0, again.stderr
    assert model.is_file()
    assert torch.load(last, weights_only=True)["global_step"] == 150
    rows = csv.DictReader(sorted((tmp_path / "exp" / "logs").glob("*/metrics.csv"))[-1].open())
    assert min(int(row["step"]) for row in rows if row.get("train/loss")) >= reached


def test_features_are_normalised_by_the_statistics_of_the_first_batches_drawn(tmp_path):
    write_dump(tmp_path)
    settings = config("trainer.max_steps=1")
    run(tmp_path, "exp", "trainer.max_steps=1")
    front_end = load_ssl(tmp_path / "exp" / "model.pt").encoder.front_end
    corpus = corpus_in(tmp_path)
    dataset = PretrainingDataset(corpus.train, TASKS)
    batches = TaskDataModule(settings.data, dataset, dataset, TASKS, settings.seed)
    pairs = [(b.wave_BS, b.samples_B) for b in batches.first_batches(STATISTICS_BATCHES)]
    frames = []
    for wave_BS, samples_B in pairs:
        features_BTF = front_end.extract(wave_BS, samples_B)["log_mel"]
        frames += [
            row_TF[: -(-n // HOP)] for row_TF, n in zip(features_BTF, samples_B, strict=True)
        ]
    frames_NF = torch.cat(frames)
    torch.testing.assert_close(front_end.mean_F, frames_NF.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(front_end.std_F, frames_NF.std(0), atol=1e-3, rtol=1e-3)


def test_an_objective_without_codes_needs_none(tmp_path):
    write_dump(tmp_path)
    for path in (tmp_path / "dump").rglob("codes_*"):
        path.unlink()
    run(tmp_path, "exp", "trainer.max_steps=1", "model.objective.kind=best_rq")
    with pytest.raises(AioError, match=r"codes_wav\.scp"):
        run(tmp_path, "other", "trainer.max_steps=1", "model.objective.kind=masked_codes")
