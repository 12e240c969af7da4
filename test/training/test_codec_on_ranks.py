"""Codec training draws, clips and quantizes the same way after a restart and on all ranks."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file
from tiny import ALL, TASKS_YAML

from aio_toolkit.codec.adversary import Adversary
from aio_toolkit.codec.dac import Dac
from aio_toolkit.config import save_config
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.training.codec import CodecModule, train_codec
from aio_toolkit.training.optim import Optim

TEST = Path(__file__).parents[1]
SIZES = Dac.Config(16000, 4, [8, 5, 4, 2], 8, 16, [2, 4, 5, 8], 3, 16, 4)


@pytest.fixture
def data(tmp_path) -> Path:
    """Noise of several colours, which uses the codes."""
    rng = np.random.default_rng(0)
    utterances = []
    for n in range(6):
        path = str(tmp_path / f"{n}.wav")
        white_S = rng.standard_normal(6400)
        coloured_S = np.convolve(white_S, np.ones(n + 1) / (n + 1), mode="same")
        write_wav(path, 0.2 * coloured_S, 16000)
        utterances.append(Utterance(f"asr-{n}", ALL["asr"], "s", path, 6400, {"text": "a"}))
    write_data_dir(tmp_path / "data", utterances, ALL)
    return tmp_path / "data"


def config(steps: int = 8, revive_after: int = 2, **options) -> CodecModule.Config:
    trainer = {
        "max_steps": steps,
        "val_check_interval": steps,
        "checkpoint_every": 2,
        "accelerator": "cpu",
        "enable_progress_bar": False,
    }
    return CodecModule.Config(
        model=SIZES,
        crop_seconds=0.2,
        batch_size=4,
        quantize_from=3,
        fitting_batches=2,
        revive_after=revive_after,
        dev_crops=4,
        optim=Optim.Config(lr=3e-3, weight_decay=0.0, warmup_steps=2),
        trainer=trainer,
        **options,
    )


def with_adversary() -> CodecModule:
    adversary = Adversary.Config(weight=1.0, periods=[2], fft_sizes=[256])
    return CodecModule(config(adversary=adversary))


def norm(network: torch.nn.Module) -> float:
    squares = [p.grad.square().sum() for p in network.parameters() if p.grad is not None]
    return torch.stack(squares).sum().sqrt().item()


def test_codec_and_discriminators_are_clipped_each_by_their_own_norm():
    module = with_adversary()
    for network, size in ((module.dac, 7.0), (module.adversary, 500.0)):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, size)
    small = module.dac.decoder.model[0].bias
    small.grad[0] = -14.0
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module.configure_gradient_clipping(optimizer, 2.0, None)
    assert norm(module.dac) == pytest.approx(2.0, rel=0.01)
    assert norm(module.adversary) == pytest.approx(2.0, rel=0.01)
    # Directions stay.
    assert (small.grad[0] / small.grad[1]).item() == pytest.approx(-2.0)


def test_small_gradients_of_the_codec_are_not_clipped_for_those_of_the_discriminators():
    module = with_adversary()
    for network, size in ((module.dac, 1e-4), (module.adversary, 500.0)):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, size)
    before = norm(module.dac)
    assert before < 2.0
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module.configure_gradient_clipping(optimizer, 2.0, None)
    assert norm(module.dac) == before


@pytest.mark.parametrize(("value", "algorithm"), [(None, None), (0.5, "value")])
def test_no_clipping_and_clipping_by_value_are_lightning_s(monkeypatch, value, algorithm):
    module, asked = with_adversary(), []
    monkeypatch.setattr(module, "clip_gradients", lambda *options: asked.append(options[1:]))
    module.configure_gradient_clipping(None, value, algorithm)
    assert asked == [(value, algorithm)]


def leading(module: CodecModule, latents_BCT: torch.Tensor, row: int) -> list[torch.Tensor]:
    """A crop quantized by 1, 2, ... leading codebooks, by the package's evaluation."""
    quantizer = module.dac.quantizer.eval()
    made = []
    with torch.no_grad():
        for count in range(1, SIZES.n_codebooks + 1):
            quantized_1CT, *_ = quantizer(latents_BCT[row : row + 1], count)
            made.append(quantized_1CT[0])
    quantizer.train()
    return made


def books_of(module: CodecModule, latents_BCT: torch.Tensor, mixed_BCT: torch.Tensor) -> list[int]:
    """With how many leading codebooks each crop was quantized; 0 if it was not."""
    found = []
    for row, mixed_CT in enumerate(mixed_BCT):
        options = [latents_BCT[row], *leading(module, latents_BCT, row)]
        errors = [(option - mixed_CT).abs().max().item() for option in options]
        assert min(errors) < 1e-5
        found.append(int(np.argmin(errors)))
    return found


def test_quantizer_dropout_leaves_trailing_codebooks_out_of_a_share_of_the_crops():
    """The quarter that bypasses the quantizer is not taken from the half that is dropped."""
    torch.manual_seed(0)
    half = config(revive_after=99, quantizer_dropout=0.5, bypass_share=0.25)
    module = CodecModule(half).train()
    module.log = lambda *arguments, **options: None
    latents_BCT, books = torch.randn(8, 8, 5), []
    for _ in range(12):
        with torch.no_grad():
            mixed_BCT, *_ = module._quantize("train", latents_BCT)
        books.append(books_of(module, latents_BCT, mixed_BCT))
    assert {row for of_step in books for row in of_step[:4]} == {1, 2, 3}
    assert all(of_step[4:] == [3, 3, 0, 0] for of_step in books)


def test_all_codebooks_are_used_by_default():
    module = CodecModule(config(revive_after=99, bypass_share=0.0)).train()
    module.log = lambda *arguments, **options: None
    latents_BCT = torch.randn(4, 8, 5)
    with torch.no_grad():
        mixed_BCT, *_ = module._quantize("train", latents_BCT)
    assert books_of(module, latents_BCT, mixed_BCT) == [3, 3, 3, 3]


def test_before_quantization_the_quantizer_has_gradients_of_zero():
    module = CodecModule(config()).train()
    module.log = lambda *arguments, **options: None
    module.trainer = SimpleNamespace(world_size=1, global_rank=0, global_step=0)
    module.training_step(0.1 * torch.randn(2, 3200), 0).backward()
    for name, parameter in module.dac.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any() != name.startswith("quantizer"), name


@pytest.mark.parametrize(("rank", "writes"), [(0, True), (1, False)])
def test_only_the_first_rank_writes_the_codec(data, tmp_path, monkeypatch, capsys, rank, writes):
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    train_codec(config(steps=1), ALL, data, data, tmp_path / "exp")
    assert (tmp_path / "exp" / "codec.safetensors").is_file() == writes
    assert ("wrote" in capsys.readouterr().out) == writes


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 5])  # before and after quantization begins
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(data, tmp_path, monkeypatch, at):
    run = config(quantizer_dropout=0.5)
    train_codec(run, ALL, data, data, tmp_path / "whole")
    original = CodecModule.training_step

    def dies(self, batch, index):
        if self.global_step == at:
            raise RuntimeError("killed")
        return original(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(CodecModule, "training_step", dies)
        with pytest.raises(RuntimeError):
            train_codec(run, ALL, data, data, tmp_path / "killed")
    train_codec(run, ALL, data, data, tmp_path / "killed")
    whole, killed = (load_file(tmp_path / n / "codec.safetensors") for n in ("whole", "killed"))
    torch.testing.assert_close(killed, whole, atol=0, rtol=0)


@pytest.mark.slow
def test_two_ranks_train_one_codec(data, tmp_path):
    """Quantization begins on the way, and codes are revived at every other step."""
    save_config(config(quantizer_dropout=0.25), tmp_path / "conf.yaml")
    witness = f"{{class_path: rank_witness.RankWitness, init_args: {{folder: {tmp_path}}}}}"
    line = [sys.executable, "-m", "aio_toolkit.bin.train_codec", "--config", "conf.yaml"]
    line += ["--data", str(data), "--dev", str(data), "--tasks_config", str(TASKS_YAML)]
    line += ["--out", "exp", "--set", "trainer.devices=2", f"trainer.callbacks=[{witness}]"]
    paths = f"{TEST.parent}:{TEST}"
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote exp/codec.safetensors") == 1
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    # Counted in validation, and not part of the model.
    torch.testing.assert_close(ranks[1], ranks[0], atol=0, rtol=0)
