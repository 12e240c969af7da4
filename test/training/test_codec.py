"""Codec training: it learns, resumes where it was killed, and stops at a loss that is no number."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from aio_toolkit.codec.adversary import Adversary, AdversaryLoss
from aio_toolkit.codec.base import load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.losses import si_sdr, snr
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import load_tasks
from aio_toolkit.training.codec import CodecModule, train_codec
from aio_toolkit.training.optim import Optim

REPO = Path(__file__).parents[2]
TASKS = load_tasks(REPO / "egs/TEMPLATE/conf/tasks.yaml")


@pytest.fixture
def data(tmp_path):
    """Tones of random pitch, and where they lie."""
    rng = np.random.default_rng(0)
    utterances = []
    for n in range(6):
        path = str(tmp_path / f"{n}.wav")
        phase = 2 * np.pi * rng.uniform(100, 400) * np.arange(6400) / 16000
        write_wav(path, 0.3 * np.sin(phase), 16000)
        utterances.append(Utterance(f"asr-{n}", TASKS["asr"], "s", path, 6400, {"text": "a"}))
    write_data_dir(tmp_path / "data", utterances, TASKS)
    return tmp_path / "data"


def config(steps: int, quantize_from: int) -> CodecModule.Config:
    return CodecModule.Config(
        model=Dac.Config(16000, 4, [8, 5, 4, 2], 8, 16, [2, 4, 5, 8], 2, 16, 4),
        crop_seconds=0.2,
        batch_size=4,
        quantize_from=quantize_from,
        dev_crops=4,
        optim=Optim.Config(lr=3e-3, weight_decay=0.0, warmup_steps=2),
        trainer={
            "max_steps": steps,
            "val_check_interval": steps,
            "checkpoint_every": 2,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
        },
    )


def run(config, data, out):
    train_codec(config, TASKS, data, data, out)


def weights(out):
    return load_file(out / "codec.safetensors")


@pytest.mark.slow
def test_training_reduces_the_loss_and_writes_a_codec_that_loads(data, tmp_path):
    run(config(40, 30), data, tmp_path / "exp")
    rows = csv.DictReader(next((tmp_path / "exp" / "logs").glob("*/metrics.csv")).open())
    losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]
    assert np.mean(losses[20:30]) < np.mean(losses[:10])
    assert load_codec(tmp_path / "exp").encode(torch.zeros(1, 640)).codes_BTQ.shape == (1, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("quantize_from", [4, 7])  # before and after the step from which it resumes
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    data, tmp_path, monkeypatch, quantize_from
):
    run(config(10, quantize_from), data, tmp_path / "whole")
    original, steps = CodecModule.training_step, []

    def dies_at_the_seventh(self, batch, index):
        steps.append(self.global_step)
        if len(steps) == 7:
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(CodecModule, "training_step", dies_at_the_seventh)
    with pytest.raises(RuntimeError):
        run(config(10, quantize_from), data, tmp_path / "resumed")
    assert not (tmp_path / "resumed" / "codec.safetensors").exists()
    run(config(10, quantize_from), data, tmp_path / "resumed")
    assert steps == [0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9]
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_discriminators_are_trained_along_and_stay_out_of_the_codec(data, tmp_path):
    adversarial = config(3, 1)
    adversarial.adversary = Adversary.Config(weight=1.0, periods=[2], fft_sizes=[256])
    run(adversarial, data, tmp_path / "exp")
    rows = csv.DictReader(next((tmp_path / "exp").rglob("metrics.csv")).open())
    row = next(row for row in rows if row.get("train/discriminator"))
    assert float(row["train/discriminator"]) > 0 and float(row["train/features"]) > 0
    assert not any("judge" in name for name in weights(tmp_path / "exp"))
    load_codec(tmp_path / "exp")


@pytest.mark.slow
def test_validation_tells_how_much_of_the_codebooks_is_used(data, tmp_path):
    run(config(6, 2), data, tmp_path / "exp")
    rows = csv.DictReader(next((tmp_path / "exp").rglob("metrics.csv")).open())
    (row,) = [row for row in rows if row.get("val/entropy")]
    assert 0 < float(row["val/entropy_least"]) <= float(row["val/entropy"]) <= 1
    assert 0 < float(row["val/codes_used"]) <= 1


@pytest.mark.slow
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
        run(with_bar, data, tmp_path / "exp")
    capsys.readouterr()
    run(with_bar, data, tmp_path / "exp")
    assert "10/10" in "".join(capsys.readouterr())


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_stops_the_run_with_a_remedy(data, tmp_path, monkeypatch):
    original = CodecModule.training_step

    def poisoned(self, batch, index):
        return original(self, batch * float("nan") if index == 3 else batch, index)

    monkeypatch.setattr(CodecModule, "training_step", poisoned)
    with pytest.raises(AioError, match="loss is nan at step 3.*optim.lr"):
        run(config(10, 8), data, tmp_path / "exp")
    assert not (tmp_path / "exp" / "codec.safetensors").exists()


def test_the_loss_is_the_weighted_sum_of_its_parts():
    torch.manual_seed(0)
    weighted = config(1, 0)
    weighted.mel_weight, weighted.snr_weight, weighted.si_sdr_weight = 2.0, 3.0, 5.0
    weighted.codebook_weight, weighted.commitment_weight = 7.0, 11.0
    module = CodecModule(weighted).eval()
    module.quantizing.fill_(value=True)
    module.log = lambda *arguments, **options: None
    wave_BS = 0.1 * torch.randn(2, 3200)

    got = module._step("val", wave_BS)
    latents_BCT, _, _, commitment, codebook = module.dac.quantizer(
        module.dac.encoder(wave_BS[:, None])
    )
    # An odd stride leaves the decoder eight samples short.
    estimate_BS = F.pad(module.dac.decoder(latents_BCT)[:, 0], (0, 8))
    want = 2 * module.mel(estimate_BS, wave_BS)
    want = want - 3 * snr(estimate_BS, wave_BS).mean() - 5 * si_sdr(estimate_BS, wave_BS).mean()
    want = want + 7 * codebook + 11 * commitment
    assert got.item() == pytest.approx(want.item(), rel=1e-5)


def test_commitment_moves_latents_and_the_codebook_loss_moves_codes():
    """Their values are equal, so only gradients tell which of the two a weight belongs to."""
    torch.manual_seed(0)
    wave_BS = 0.1 * torch.randn(2, 3200)
    moved = {}
    for name in ("codebook_weight", "commitment_weight"):
        alone = config(1, 0)
        alone.mel_weight = alone.snr_weight = alone.si_sdr_weight = 0.0
        alone.codebook_weight = alone.commitment_weight = 0.0
        setattr(alone, name, 1.0)
        module = CodecModule(alone)
        module.quantizing.fill_(value=True)
        module.log = lambda *arguments, **options: None

        module._step("val", wave_BS).backward()
        networks = module.dac.encoder, module.dac.quantizer.quantizers[0].codebook
        moved[name] = [any(p.grad.any() for p in network.parameters()) for network in networks]
    assert moved == {"codebook_weight": [False, True], "commitment_weight": [True, False]}


def test_the_weights_of_the_adversary_count():
    judged = config(1, 0)
    judged.adversary = Adversary.Config(
        weight=3.0, feature_weight=5.0, periods=[2], fft_sizes=[256]
    )
    module = CodecModule(judged)
    module.log = lambda *arguments, **options: None
    parts = AdversaryLoss(torch.tensor(1.0), torch.tensor(10.0), torch.tensor(100.0))
    assert module._add_adversary(torch.tensor(0.5), parts).item() == 0.5 + 1 + 30 + 500


def test_a_share_of_the_crops_bypasses_the_quantizer_in_training_only():
    torch.manual_seed(0)
    bypassing = config(1, 0)
    bypassing.bypass_share = 0.5
    module = CodecModule(bypassing)
    module.log = lambda *arguments, **options: None
    latents_BCT = torch.randn(4, 8, 5)
    trained_BCT, *_ = module._quantize("train", latents_BCT)
    validated_BCT, *_ = module._quantize("val", latents_BCT)
    assert torch.equal(trained_BCT[2:], latents_BCT[2:])
    torch.testing.assert_close(trained_BCT[:2], validated_BCT[:2])
    assert not torch.isclose(validated_BCT, latents_BCT).all(-1).any()


@pytest.mark.slow
def test_a_finished_codec_is_not_trained_again(data, tmp_path, capsys):
    run(config(3, 1), data, tmp_path / "exp")
    before = (tmp_path / "exp" / "codec.safetensors").stat().st_mtime_ns
    run(config(3, 1), data, tmp_path / "exp")
    assert (tmp_path / "exp" / "codec.safetensors").stat().st_mtime_ns == before
    assert "is finished: nothing to do" in capsys.readouterr().out


@pytest.mark.slow
def test_a_folder_of_another_run_is_refused(data, tmp_path):
    run(config(3, 1), data, tmp_path / "exp")
    with pytest.raises(AioError, match="quantize_from"):
        run(config(3, 2), data, tmp_path / "exp")
