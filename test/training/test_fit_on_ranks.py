"""Runs in two processes, as `--ngpu 2` starts them: what one process would learn, said once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import AIO_OVERRIDES, SSL_OVERRIDES, TASKS_YAML, write_dump

REPO = Path(__file__).parents[2]
BATCHES = ["data.seconds={asr: 1.0, sep: 1.0}", "data.segment_seconds=0.2"]
AIO = [
    *AIO_OVERRIDES,
    *BATCHES,
    "model.backbone.num_layers=4",
    "model.backbone.layer_drop=0.5",
    "model.backbone.moe.router.per_task.noise=0.5",
    # The loss of any other balance looks at the micro-batches before it.
    "model.backbone.moe.balance.kind=none",
    "trainer.max_steps=4",
]
TWO_RANKS = ["trainer.devices=2", "trainer.strategy=ddp"]
TWO_MICRO_BATCHES = ["trainer.accumulate_grad_batches=2"]


def command(root: Path, stage: str, out: str, options: list[str], *more: str) -> str:
    """Run a command with a configuration; what it prints."""
    (root / "conf.yaml").write_text("seed: 3\n")
    line = [sys.executable, "-m", f"aio_toolkit.bin.{stage}", "--config", "conf.yaml"]
    line += ["--data", "data", "--dump", "dump", "--tasks_config", str(TASKS_YAML)]
    line += ["--out", out, *more, "--set", *options]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        line, cwd=root, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    """What was learnt: the statistics of batch norm are those of the first rank's batches."""
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    counted = ("running_mean", "running_var", "num_batches_tracked")
    return {name: x for name, x in last["state_dict"].items() if not name.endswith(counted)}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["transformer", "conformer"])
def test_two_ranks_pre_train_what_one_does_with_two_micro_batches(tmp_path, encoder):
    write_dump(tmp_path)
    sizes = "{width: 16, num_layers: 1, num_heads: 2, ffn_width: 16, conv_kernel: 3}"
    options = [option for option in SSL_OVERRIDES if "encoder" not in option]
    options += [f"model.encoder={{kind: {encoder}, {encoder}: {sizes}}}", "trainer.max_steps=4"]
    command(tmp_path, "train_ssl", "alone", [*options, *TWO_MICRO_BATCHES])
    said = command(tmp_path, "train_ssl", "together", [*options, *TWO_RANKS])
    assert said.count("wrote together/model.pt") == 1
    alone, together = (last_weights(tmp_path / out) for out in ("alone", "together"))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_two_ranks_learn_what_one_does_with_two_micro_batches(tmp_path, units):
    write_dump(tmp_path)
    command(tmp_path, "train_ssl", "ssl", [*SSL_OVERRIDES, "trainer.max_steps=1"])
    folders = ("--ssl", "ssl", "--units", str(units))
    command(tmp_path, "train_aio", "alone", [*AIO, *TWO_MICRO_BATCHES], *folders)
    said = command(tmp_path, "train_aio", "together", [*AIO, *TWO_RANKS], *folders)
    assert said.count("parameters: backbone") == 1
    assert said.count("wrote together/model.pt") == 1
    alone, together = (last_weights(tmp_path / out) for out in ("alone", "together"))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
