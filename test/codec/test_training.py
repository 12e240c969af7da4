"""Codec training: it learns, resumes where it was killed, and stops at a loss that is not a number."""

import csv

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aio_toolkit.codec.adversary import AdversaryConfig
from aio_toolkit.codec.dac import DacCodec, DacConfig
from aio_toolkit.data.audio import write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.training.codec import CodecModule, CodecTrainConfig, train_codec
from aio_toolkit.training.optim import OptimConfig


@pytest.fixture
def data(tmp_path):
    """Tones of random pitch, and where they lie."""
    rng = np.random.default_rng(0)
    utterances = []
    for n in range(6):
        path = str(tmp_path / f"{n}.wav")
        write_wav(path, 0.3 * np.sin(2 * np.pi * rng.uniform(100, 400) * np.arange(6400) / 16000), 16000)
        utterances.append(Utterance(f"asr-{n}", "asr", "s", path, 6400, {"text": "a"}, {}))
    write_data_dir(tmp_path / "data", utterances)
    return tmp_path / "data"


def config(steps: int, quantise_from: int) -> CodecTrainConfig:
    return CodecTrainConfig(
        model=DacConfig(16000, 4, [8, 5, 4, 2], 8, 16, [2, 4, 5, 8], 2, 16, 4),
        crop_seconds=0.2,
        batch_size=4,
        quantise_from=quantise_from,
        dev_crops=4,
        optim=OptimConfig(lr=3e-3, weight_decay=0.0, warmup_steps=2),
        trainer={
            "max_steps": steps,
            "val_check_interval": steps,
            "checkpoint_every": 2,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
        },
    )


def weights(out):
    return load_file(out / "codec.safetensors")


def test_training_reduces_the_loss_and_writes_a_codec_that_loads(data, tmp_path):
    train_codec(config(40, 30), data, data, tmp_path / "exp")
    rows = csv.DictReader(next((tmp_path / "exp" / "logs").glob("*/metrics.csv")).open())
    losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]
    assert np.mean(losses[20:30]) < np.mean(losses[:10])
    assert DacCodec.load(tmp_path / "exp").encode(torch.zeros(1, 640)).codes_BTQ.shape == (1, 2, 2)


@pytest.mark.parametrize("quantise_from", [4, 7])  # before and after the step from which it resumes
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(data, tmp_path, monkeypatch, quantise_from):
    train_codec(config(10, quantise_from), data, data, tmp_path / "whole")
    original, steps = CodecModule.training_step, []

    def dies_at_the_seventh(self, batch, index):
        steps.append(self.global_step)
        if len(steps) == 7:
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(CodecModule, "training_step", dies_at_the_seventh)
    with pytest.raises(RuntimeError):
        train_codec(config(10, quantise_from), data, data, tmp_path / "resumed")
    assert not (tmp_path / "resumed" / "codec.safetensors").exists()
    train_codec(config(10, quantise_from), data, data, tmp_path / "resumed")
    assert steps == [0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9]
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], atol=1e-4, rtol=1e-3)


def test_discriminators_are_trained_along_and_stay_out_of_the_codec(data, tmp_path):
    adversarial = config(3, 1)
    adversarial.adversary = AdversaryConfig(weight=1.0, periods=[2], fft_sizes=[256])
    train_codec(adversarial, data, data, tmp_path / "exp")
    rows = csv.DictReader(next((tmp_path / "exp").rglob("metrics.csv")).open())
    row = next(row for row in rows if row.get("train/discriminator"))
    assert float(row["train/discriminator"]) > 0 and float(row["train/features"]) > 0
    assert not any("judge" in name for name in weights(tmp_path / "exp"))
    DacCodec.load(tmp_path / "exp")


def test_validation_tells_how_much_of_the_codebooks_is_used(data, tmp_path):
    train_codec(config(6, 2), data, data, tmp_path / "exp")
    rows = csv.DictReader(next((tmp_path / "exp").rglob("metrics.csv")).open())
    (row,) = [row for row in rows if row.get("val/entropy")]
    assert 0 < float(row["val/entropy_least"]) <= float(row["val/entropy"]) <= 1
    assert 0 < float(row["val/codes_used"]) <= 1


def test_the_bar_of_a_resumed_run_shows_how_much_is_left(data, tmp_path, monkeypatch, capsys):
    original, with_bar = CodecModule.training_step, config(10, 20)
    with_bar.trainer["enable_progress_bar"] = True

    def dies_at_the_seventh(self, batch, index):
        if self.global_step == 6 and not list(tmp_path.glob("died")):
            (tmp_path / "died").touch()
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(CodecModule, "training_step", dies_at_the_seventh)
    with pytest.raises(RuntimeError):
        train_codec(with_bar, data, data, tmp_path / "exp")
    capsys.readouterr()
    train_codec(with_bar, data, data, tmp_path / "exp")
    assert "10/10" in "".join(capsys.readouterr())


def test_a_loss_that_is_not_a_number_stops_the_run_with_a_remedy(data, tmp_path, monkeypatch):
    original = CodecModule.training_step

    def poisoned(self, batch, index):
        return original(self, batch * float("nan") if index == 3 else batch, index)

    monkeypatch.setattr(CodecModule, "training_step", poisoned)
    with pytest.raises(AioError, match="loss is nan at step 3.*optim.lr"):
        train_codec(config(10, 8), data, data, tmp_path / "exp")
    assert not (tmp_path / "exp" / "codec.safetensors").exists()
