"""Stage 3 from dump to model: it learns, resumes exactly, and refuses what would corrupt."""

import csv
import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CODEC, FRONT_END, NUM_LATENTS, SSL_OVERRIDES, TASKS, TASKS_YAML, write_dump
from tiny_training import corpus_in, curve, last_state

from aio_toolkit.config import load_config
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.errors import AioError
from aio_toolkit.models import masking
from aio_toolkit.models.checkpoint import load_ssl
from aio_toolkit.training import fit
from aio_toolkit.training.dataset import PretrainingDataset
from aio_toolkit.training.pretrain import PretrainModule, pretrain


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
    provenance = Provenance(four_codes, FRONT_END)
    write_dump(tmp_path, predictable=True, num=24, provenance=provenance)
    options = ("trainer.max_steps=40", "trainer.val_check_interval=10", "optim.lr=0.01")
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


def test_unknown_trainer_keys_are_named(tmp_path):
    write_dump(tmp_path)
    with pytest.raises(AioError, match="trainer.max_stepz'. Did you mean 'trainer.max_steps'"):
        run(tmp_path, "exp", "trainer.max_stepz=3")


def test_a_loss_that_is_not_a_number_stops_the_run_with_a_remedy(tmp_path, monkeypatch):
    write_dump(tmp_path)
    original = PretrainModule.training_step

    def poisoned(self, batch, index):
        if index == 3:
            batch.feats_BTF[:] = float("nan")
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
    monkeypatch.setattr(fit, "multiplies_bfloat16", lambda device: has_bfloat16)
    run(tmp_path, "exp", "trainer.precision=auto", "trainer.max_steps=1")
    assert used == [precision]


def test_a_stage_asked_for_too_early_names_the_one_before(tmp_path):
    with pytest.raises(AioError, match="Run stage 1"):
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
    reached = torch.load(last, weights_only=False)["global_step"]

    options = {"cwd": tmp_path, "env": environment, "timeout": 300}
    again = subprocess.run(command, capture_output=True, text=True, **options)
    assert again.returncode == 0, again.stderr
    assert model.is_file()
    assert torch.load(last, weights_only=False)["global_step"] == 150
    rows = csv.DictReader(sorted((tmp_path / "exp" / "logs").glob("*/metrics.csv"))[-1].open())
    assert min(int(row["step"]) for row in rows if row.get("train/loss")) >= reached


@pytest.mark.parametrize(("has_latents", "scaled"), [(True, NUM_LATENTS), (False, 0)])
def test_the_codec_s_latents_are_scaled_where_the_features_hold_them(tmp_path, has_latents, scaled):
    front_end = dataclasses.replace(FRONT_END, codec_latents=has_latents)
    write_dump(tmp_path, provenance=Provenance(CODEC, front_end))
    run(tmp_path, "exp", "trainer.max_steps=1", "latent_scale=0.25")
    loaded = load_ssl(tmp_path / "exp" / "model.pt")
    dataset = PretrainingDataset(corpus_in(tmp_path).train, TASKS)
    frames_NF = np.concatenate([dataset.feats[u.id] for u in dataset.utterances])
    normalised_NF = loaded.encoder.normalise(torch.from_numpy(frames_NF))
    wanted = [1.0] * (frames_NF.shape[1] - scaled) + [0.25] * scaled
    torch.testing.assert_close(normalised_NF.std(0), torch.tensor(wanted), atol=1e-4, rtol=0)
    assert loaded.provenance.front_end == front_end
    assert loaded.provenance.codec == CODEC
