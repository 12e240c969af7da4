"""Stage 4 in several processes: started by run.sh and by torchrun, ended by force."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_recipe import ROOT, copy_finished, finish_recipe, words_of

pytestmark = pytest.mark.all

TWO = "trainer.devices=2 trainer.strategy=ddp trainer.precision=32-true"
TRAIN = [
    *("-m", "aio_toolkit.bin.train_aio", "--tasks_config", "conf/tasks.yaml"),
    *("--config", "conf/train_aio_small.yaml", "--data", "data", "--dump", "dump"),
    *("--ssl", "exp/train_ssl_small", "--units", "dump/units", "--set", "trainer.accelerator=cpu"),
    *("trainer.strategy=ddp", "trainer.precision=32-true"),
]
# A package on the path of the runs, whose callback ends the second rank.
FAILING = """
import lightning
from aio_toolkit.errors import AioError

class Failing(lightning.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_rank == 1 and trainer.global_step == 2:
            raise AioError("rank 1 has had enough.")
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A recipe of which stages 1 to 3 are done."""
    return finish_recipe(tmp_path_factory.mktemp("finished"), stop_stage=3)


@pytest.fixture
def recipe(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copy_finished(finished, tmp_path / "copy")


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def torchrun(recipe: Path, options: list[str], out: str, *more: str) -> subprocess.Popen[str]:
    """Start training by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", *options, *TRAIN, *more]
    return subprocess.Popen(
        [*command, "--out", out],
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start(recipe: Path, train_args: str) -> subprocess.Popen[str]:
    """Start stage 4 by run.sh, in a session of its own."""
    options = {"stage": "4", "stop_stage": "4", "tag": "two", "train_args": train_args}
    return subprocess.Popen(
        words_of(options),
        cwd=recipe,
        # One thread, as torchrun has it: more add up in another order.
        env={**os.environ, "PYTHONPATH": str(recipe), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def weights(recipe: Path, out: str) -> dict[str, torch.Tensor]:
    """What a training has ended with."""
    path = recipe / out / "checkpoints/last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_two_processes_of_run_sh_and_two_nodes_of_torchrun_learn_the_same(recipe: Path) -> None:
    """Each says what it does once."""
    said, _ = start(recipe, TWO).communicate(timeout=300)
    assert said.count("parameters: backbone") == 1, said
    assert said.count("wrote exp/two/model.pt") == 1, said

    port = free_port()
    nodes = []
    for rank in range(2):
        where = ["--nnodes", "2", "--nproc_per_node", "1", "--node_rank", str(rank)]
        where += ["--master_addr", "127.0.0.1", "--master_port", str(port)]
        more = "trainer.num_nodes=2", "trainer.devices=1"
        nodes.append(torchrun(recipe, where, "exp/nodes", *more))
    outputs = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert sum(output.count("wrote exp/nodes/model.pt") for output in outputs) == 1

    found, wanted = weights(recipe, "exp/nodes"), weights(recipe, "exp/two")
    assert all(torch.equal(found[name], wanted[name]) for name in found.keys() | wanted.keys())


def test_more_processes_than_the_configuration_has_are_refused(recipe: Path) -> None:
    where = ["--standalone", "--nproc_per_node", "2"]
    process = torchrun(recipe, where, "exp/many", "trainer.devices=1")
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "error: 2 processes were started, but trainer.devices and" in said, said
    assert not (recipe / "exp/many/model.pt").exists()


def test_a_process_that_fails_ends_the_others_and_its_line_comes_last(recipe: Path) -> None:
    (recipe / "failing_rank.py").write_text(FAILING)
    path = recipe / "conf/train_aio_small.yaml"
    callback = "trainer: {callbacks: [{class_path: failing_rank.Failing}], "
    path.write_text(path.read_text().replace("trainer: {", callback))
    process = start(recipe, TWO)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in said, said
    # What comes behind is the bar, and that the stage has stopped.
    assert said.rpartition("error: ")[2].startswith("rank 1 has had enough.\n"), said
    assert not (recipe / "exp/two/model.pt").exists()


def test_a_signal_to_all_processes_ends_them_soon_and_keeps_what_was_learnt(recipe: Path) -> None:
    process = start(recipe, f"{TWO} trainer.max_steps=100000 trainer.val_check_interval=50000")
    last = recipe / "exp/two/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert last.exists()
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - begin < 20
    assert process.returncode != 0
    assert said.count("which is kept: run the same command again to go on") == 1, said
    assert torch.load(last, weights_only=True)["global_step"] > 0
    assert "Traceback" not in said, said
    # Nobody is left behind but those whose end nobody has asked for yet.
    command = ["ps", "-o", "stat=", "-s", str(process.pid)]
    left = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    assert set(left) <= {"Z"}
